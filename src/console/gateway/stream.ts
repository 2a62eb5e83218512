import type { ServerResponse } from 'node:http';
import type { TabSink } from './tab.ts';

/** One stream of server-sent events over an open response. */
export function sseSink(response: ServerResponse): TabSink {
  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    // Some proxies keep what is streamed.
    'X-Accel-Buffering': 'no',
  });
  response.write('retry: 1000\n\n');
  return {
    send: (event, data, id) => {
      if (response.writableEnded || response.destroyed) return;
      response.write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    },
    behind: () => response.writableLength,
  };
}
