import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { LocalTool } from '../../src/adapters/toolbox/local-tool.ts';
import { AppError } from '../../src/core/errors.ts';
import { ToolDefinition } from '../../src/core/tool.ts';

/**
 * The outside world of the drill: a TCP server in the drill's own process, which no fault reaches. Every effect is
 * appended to its list. `idem` effects are taken once a key; `once` effects are taken whenever they come, so that what is
 * repeated shows.
 */

type SinkKind = 'idem' | 'once';

export interface Effect {
  kind: SinkKind;
  /** The idempotency key, `<run>:<c>`. */
  key: string;
  run: string;
  /** Which step of the run it is: the same however often the step is decided anew. */
  label: string;
  /** The process that caused it. */
  from: string;
  /** When it came, epoch milliseconds. */
  at: number;
}

interface Wire {
  id: number;
  kind: SinkKind;
  key: string;
  label: string;
  from: string;
}

export class Sink {
  readonly effects: Effect[] = [];
  readonly port: number;
  private readonly server: Server;
  private readonly sockets: Set<Socket>;
  private readonly keys = new Set<string>();
  private readonly honoursKeys: boolean;

  private constructor(server: Server, sockets: Set<Socket>, port: number, honoursKeys: boolean) {
    this.server = server;
    this.sockets = sockets;
    this.port = port;
    this.honoursKeys = honoursKeys;
  }

  /** @param honoursKeys false: it is broken on purpose, and takes an effect again under a key that it knows */
  static open(honoursKeys: boolean): Promise<Sink> {
    const sockets = new Set<Socket>();
    return new Promise((resolve) => {
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
        const lines = createInterface({ input: socket });
        // A process that is killed leaves its socket behind in any state; the lines repeat its error.
        for (const one of [socket, lines]) one.on('error', () => {});
        lines.on('line', (line) => {
          const wire = JSON.parse(line) as Wire;
          sink.take(wire);
          socket.write(`${wire.id}\n`);
        });
      });
      let sink: Sink;
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        const port = typeof address === 'object' && address !== null ? address.port : 0;
        sink = new Sink(server, sockets, port, honoursKeys);
        resolve(sink);
      });
    });
  }

  happened(key: string): boolean {
    return this.keys.has(key);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private take({ kind, key, label, from }: Wire): void {
    const known = this.keys.has(key);
    this.keys.add(key);
    if (known && kind === 'idem' && this.honoursKeys) return;
    this.effects.push({ kind, key, run: key.slice(0, key.lastIndexOf(':')), label, from, at: Date.now() });
  }
}

/** How long a call stays open after its effect unless its `wait` says otherwise, milliseconds: time to die in. */
const AFTER_MS = 300;

/** `<where>_idem` and `<where>_once`: each call is an effect at the sink. */
export async function sinkTools(where: 'local' | 'remote', port: number, from: string): Promise<LocalTool[]> {
  const send = await connectToSink(port, from);
  const tool = (kind: SinkKind): LocalTool => ({
    definition: ToolDefinition.parse({
      name: `${where}_${kind}`,
      description: `an effect at the sink, ${kind === 'idem' ? 'once a key' : 'each time'}`,
      parameters: { type: 'object', required: ['label'], properties: { label: { type: 'string' } } },
      idempotent: kind === 'idem',
      timeout_ms: 5_000,
    }),
    async handler(args, { idempotencyKey }) {
      const label = String(args.label);
      await send(kind, idempotencyKey, label);
      await delay(typeof args.wait === 'number' ? args.wait : AFTER_MS);
      return { label, done: true };
    },
  });
  return [tool('idem'), tool('once')];
}

function connectToSink(port: number, from: string) {
  const waiting = new Map<number, () => void>();
  let next = 0;
  const socket = connect(port, '127.0.0.1');
  const lines = createInterface({ input: socket });
  // The sink is gone: so is the drill.
  lines.on('error', () => {});
  lines.on('line', (line) => {
    waiting.get(Number(line))?.();
    waiting.delete(Number(line));
  });
  const send = (kind: SinkKind, key: string, label: string): Promise<void> => {
    const wire: Wire = { id: next++, kind, key, label, from };
    return new Promise((resolve) => {
      waiting.set(wire.id, resolve);
      socket.write(`${JSON.stringify(wire)}\n`);
    });
  };
  return new Promise<typeof send>((resolve, reject) => {
    socket.once('connect', () => resolve(send));
    socket.once('error', (error) => reject(new AppError('unavailable', `the sink: ${error.message}`)));
  });
}
