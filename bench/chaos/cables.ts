import { connect, createServer, type Socket } from 'node:net';
import { childOptions, hearParent, say } from '../support/children.ts';
import type { CableMode } from './wire.ts';

/**
 * The network of the drill: TCP relays between nodes and servers, in a process of their own. Cable `i` is the way of
 * node `i` to every server. `cut`: connections are reset and new ones refused. `hole`: bytes stop in both directions and
 * nobody is told; when the cable is mended they go on, as TCP sends again what was lost on the way.
 */

const { count, targets } = childOptions<{ count: number; targets: number[] }>();

class Cable {
  private mode: CableMode = 'open';
  private readonly sockets = new Set<Socket>();
  private held: (() => void)[] = [];

  listen(target: number): Promise<number> {
    const server = createServer({ noDelay: true }, (client) => this.join(client, target));
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  set(mode: CableMode): void {
    this.mode = mode;
    if (mode === 'cut') {
      for (const socket of this.sockets) socket.resetAndDestroy();
      this.held = [];
    } else if (mode === 'hole') {
      for (const socket of this.sockets) socket.pause();
    } else {
      for (const begin of this.held.splice(0)) begin();
      for (const socket of this.sockets) socket.resume();
    }
  }

  private join(client: Socket, target: number): void {
    client.on('error', () => {});
    if (this.mode === 'cut') {
      client.resetAndDestroy();
      return;
    }
    client.pause();
    const begin = () => this.relay(client, connect({ port: target, host: '127.0.0.1', noDelay: true }));
    if (this.mode === 'hole') this.held.push(begin);
    else begin();
  }

  private relay(client: Socket, server: Socket): void {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(from);
      from.on('data', (bytes) => void to.write(bytes));
      from.on('error', () => {});
      from.once('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
    if (this.mode === 'open') client.resume();
    else server.pause();
  }
}

const cables = Array.from({ length: count }, () => new Cable());
const ports = await Promise.all(cables.map((cable) => Promise.all(targets.map((target) => cable.listen(target)))));
hearParent(({ id, cable, mode }) => {
  cables[Number(cable)]?.set(mode as CableMode);
  say(`set ${String(id)}`);
});
say(JSON.stringify(ports));
