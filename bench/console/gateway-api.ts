import { randomBytes } from 'node:crypto';
import type { Watch } from '../../src/console/wire.ts';

/** A gateway as a browser reaches it, without one. */
export class GatewayApi {
  readonly url: string;
  private readonly headers: Record<string, string>;

  private constructor(url: string, headers: Record<string, string>) {
    this.url = url;
    this.headers = headers;
  }

  static async open(url: string, token: string): Promise<GatewayApi> {
    const headers = { authorization: `Bearer ${token}` };
    const { csrf } = (await (await fetch(`${url}/api/me`, { headers })).json()) as { csrf: string };
    return new GatewayApi(url, { ...headers, 'content-type': 'application/json', 'x-proctor-csrf': csrf });
  }

  /** Throws when the answer is not one of success. */
  async post<T>(path: string, body: unknown): Promise<T> {
    const answer = await fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: this.headers,
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** The stream of a new tab. */
  async stream(signal: AbortSignal): Promise<{ tab: string; body: AsyncIterable<Uint8Array> }> {
    const tab = randomBytes(16).toString('hex');
    const { body } = await fetch(`${this.url}/api/stream?tab=${tab}`, { headers: this.headers, signal });
    return { tab, body: body as ReadableStream<Uint8Array> };
  }

  async watch(tab: string, watch: Partial<Watch> & { n: number }): Promise<void> {
    const nothing = {
      overview: false,
      cluster: false,
      approvals: false,
      list: false,
      runs: [],
      run: null,
      actor: null,
    };
    await this.post(`/api/stream/${tab}/watch`, { ...nothing, ...watch } satisfies Watch);
  }
}
