import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApprovalNotice, ApprovalRequest } from '../core/approval-wire.ts';
import { AppError, clip, toAppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import { redact } from '../core/redact.ts';
import type { Log } from '../ports/telemetry.ts';

/**
 * Tells another program, such as a chat tool, of requests for approvals: one POST each, signed. Who reads a chat is not
 * an approver, so what looks like a secret is taken out; the digest says which arguments are meant.
 */

export interface WebhookOptions {
  /** https, or http on this machine. */
  url: string;
  /** Shared with whoever receives; at least 16 characters. */
  secret: string;
  log: Log;
}

export interface Webhook {
  /** Resolves when it was taken, or given up; what is given up is logged. */
  tell(what: { request: ApprovalRequest } | { notice: ApprovalNotice }): Promise<void>;
}

const TRIES = 4;
const TIMEOUT_MS = 10_000;

/** Throws AppError `usage` on an address or a secret that is not safe. */
export function webhook({ url, secret, log }: WebhookOptions): Webhook {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const local = parsed?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(parsed.hostname);
  if (parsed === null || (parsed.protocol !== 'https:' && !local)) {
    throw new AppError('usage', 'webhook: expected an https address, or an http one on this machine');
  }
  if (secret.length < 16) throw new AppError('usage', 'webhook secret: expected at least 16 characters');
  return {
    async tell(what) {
      const body = JSON.stringify(shown(what));
      for (let attempt = 1; ; attempt++) {
        const fault = await post(parsed, secret, body);
        if (fault === null) return;
        if (attempt === TRIES) {
          log.error('webhook.given_up', { host: parsed.host, attempts: attempt, message: clip(fault, 300) });
          return;
        }
        await delay(250 * 4 ** (attempt - 1));
      }
    },
  };
}

function shown(what: { request: ApprovalRequest } | { notice: ApprovalNotice }): object {
  if ('notice' in what) return { v: 1, type: 'approval.notice', notice: what.notice };
  const { args, given, task, ...rest } = what.request;
  const others = given.map(({ args: edited, ...one }) =>
    edited === undefined ? one : { ...one, args: redact(edited) },
  );
  const request = { ...rest, task: redact(jsonOf(task)), args: redact(args), given: others };
  return { v: 1, type: 'approval.request', request };
}

/** The task's text is cut where it is long, and then no JSON. */
function jsonOf(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** What went wrong; null when it was taken. The signature is over `<timestamp>.<body>`, so that nobody replays it. */
async function post(url: URL, secret: string, body: string): Promise<string | null> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'proctor-timestamp': timestamp,
        'proctor-signature': `sha256=${signature}`,
      },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.ok ? null : `answered ${response.status}`;
  } catch (thrown) {
    return toAppError(thrown).message;
  }
}
