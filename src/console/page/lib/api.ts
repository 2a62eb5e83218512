import type { Fault, Me } from '../../wire.ts';

/** Requests to the gateway. Every fault is an ApiError with a code, also when nobody answers. */

export class ApiError extends Error {
  readonly code: string;

  constructor({ code, message }: Fault) {
    super(message);
    this.code = code;
  }
}

let csrf = '';

/** Who is logged in; null when nobody is. */
export async function whoAmI(): Promise<Me | null> {
  try {
    const me = await get<Me>('/api/me');
    csrf = me.csrf;
    return me;
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.code === 'unauthorized') return null;
    throw thrown;
  }
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>(path, signal === undefined ? {} : { signal });
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-proctor-csrf': csrf },
    body: JSON.stringify(body),
  });
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init });
  } catch (cause) {
    if (init.signal?.aborted === true) throw cause;
    throw new ApiError({ code: 'offline', message: 'The console does not answer. It is tried again.' });
  }
  const body = (await response.json().catch(() => null)) as unknown;
  if (response.ok) return body as T;
  const fault = body as Fault | null;
  throw new ApiError({
    code: fault?.code ?? 'failed',
    message: fault?.message ?? `The console answered ${response.status}.`,
  });
}

export function faultOf(thrown: unknown): Fault {
  if (thrown instanceof ApiError) return { code: thrown.code, message: thrown.message };
  return { code: 'failed', message: thrown instanceof Error ? thrown.message : String(thrown) };
}
