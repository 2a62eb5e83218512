import { connect, type Socket } from 'node:net';
import { fromSeed } from '@nats-io/nkeys';

/** A client that speaks the NATS text protocol over a plain socket, with no library between it and the server. */

export type Login = { user: string; password: string } | { seed: string; publicKey: string } | null;

export interface RawMessage {
  subject: string;
  reply: string | null;
  data: string;
}

export class RawClient {
  readonly messages: RawMessage[] = [];
  readonly errors: string[] = [];
  readonly #socket: Socket;
  #buffer = Buffer.alloc(0);
  #pongs: (() => void)[] = [];
  #nextSid = 1;
  #onInfo: (info: { nonce?: string }) => void = () => undefined;
  readonly #closed: Promise<never>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    this.#closed = new Promise((_, reject) => {
      socket.once('close', () => reject(new Error(`connection closed: ${this.errors.join('; ')}`)));
      socket.once('error', reject);
    });
    this.#closed.catch(() => undefined);
  }

  /** Connects and logs in; rejects when the server refuses. */
  static async connect(url: string, login: Login): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const client = new RawClient(connect(Number(port), hostname));
    const info = await Promise.race([
      new Promise<{ nonce?: string }>((resolve) => {
        client.#onInfo = resolve;
      }),
      client.#closed,
    ]);
    // In one packet: what a server has not read when it refuses would reset the connection before its reason is read.
    const hello = { verbose: false, pedantic: false, ...proof(login, info.nonce ?? '') };
    await client.roundTrip(`CONNECT ${JSON.stringify(hello)}\r\n`);
    return client;
  }

  publish(subject: string, data: string, reply = ''): void {
    this.#write(`PUB ${subject} ${reply === '' ? '' : `${reply} `}${Buffer.byteLength(data)}\r\n${data}\r\n`);
  }

  subscribe(subject: string): void {
    this.#write(`SUB ${subject} ${this.#nextSid++}\r\n`);
  }

  /** Resolves when the server has handled everything sent before. */
  async roundTrip(first = ''): Promise<void> {
    const pong = new Promise<void>((resolve) => this.#pongs.push(resolve));
    this.#write(`${first}PING\r\n`);
    await Promise.race([pong, this.#closed]);
  }

  /** The refusals that the given action caused. */
  async refusalsOf(action: () => void): Promise<string[]> {
    const before = this.errors.length;
    action();
    await this.roundTrip();
    return this.errors.slice(before);
  }

  close(): void {
    this.#socket.destroy();
  }

  #write(text: string): void {
    this.#socket.write(text);
  }

  #read(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const end = this.#buffer.indexOf('\r\n');
      if (end < 0) return;
      const line = this.#buffer.subarray(0, end).toString();
      const [verb = '', ...rest] = line.split(' ');
      let used = end + 2;
      if (verb === 'MSG') {
        const size = Number(rest.at(-1));
        if (this.#buffer.length < used + size + 2) return;
        const data = this.#buffer.subarray(used, used + size).toString();
        this.messages.push({ subject: rest[0] ?? '', reply: rest.length === 4 ? (rest[2] ?? null) : null, data });
        used += size + 2;
      } else if (verb === 'INFO') {
        this.#onInfo(JSON.parse(line.slice(5)));
      } else if (verb === 'PING') {
        this.#write('PONG\r\n');
      } else if (verb === 'PONG') {
        this.#pongs.shift()?.();
      } else if (verb === '-ERR') {
        this.errors.push(line);
      }
      this.#buffer = this.#buffer.subarray(used);
    }
  }
}

function proof(login: Login, nonce: string): Record<string, string> {
  if (login === null) return {};
  if ('user' in login) return { user: login.user, pass: login.password };
  const signature = fromSeed(new TextEncoder().encode(login.seed)).sign(new TextEncoder().encode(nonce));
  return { nkey: login.publicKey, sig: Buffer.from(signature).toString('base64url') };
}
