import { createServer } from 'node:net';

/**
 * The first of `wanted` that is free on 127.0.0.1, else a port that the system chooses. Another process may take it
 * before the caller does: who listens must be ready to be refused.
 */
export async function freePort(wanted: number[]): Promise<number> {
  for (const port of wanted) {
    if (port > 0 && (await tryPort(port)) !== null) return port;
  }
  const chosen = await tryPort(0);
  if (chosen === null) throw new Error('the system has no free port on 127.0.0.1');
  return chosen;
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
    });
  });
}
