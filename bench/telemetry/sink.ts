import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Takes whatever is sent over OTLP, and counts the requests. */
export interface Sink {
  url: string;
  requests(): number;
  stop(): void;
}

export async function startSink(): Promise<Sink> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    request.resume().once('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
