import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A collector that speaks OTLP over HTTP in JSON, and keeps what it got. */

export interface ReceivedSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string | null;
  kind: number;
  /** Epoch milliseconds. */
  start: number;
  end: number;
  attributes: Record<string, unknown>;
  events: string[];
  /** 2 for an error. */
  status: number;
  service: string;
}

export interface OtlpReceiver {
  url: string;
  /** By id: what was sent twice is one. */
  spans(): ReceivedSpan[];
  stop(): Promise<void>;
}

interface Value {
  stringValue?: string;
  intValue?: number | string;
  doubleValue?: number;
  boolValue?: boolean;
}
type Pairs = { key: string; value: Value }[];

interface Body {
  resourceSpans?: {
    resource: { attributes: Pairs };
    scopeSpans: { spans: Raw[] }[];
  }[];
}

interface Raw {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Pairs;
  events?: { name: string }[];
  status?: { code?: number };
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const received = new Map<string, ReceivedSpan>();
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      if (request.url === '/v1/traces') {
        for (const { resource, scopeSpans } of (JSON.parse(text) as Body).resourceSpans ?? []) {
          const service = String(valuesOf(resource.attributes)['service.name']);
          for (const raw of scopeSpans.flatMap((scope) => scope.spans)) received.set(raw.spanId, spanOf(raw, service));
        }
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => [...received.values()],
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function spanOf(raw: Raw, service: string): ReceivedSpan {
  const ms = (nanos: string) => Number(BigInt(nanos) / 1_000n) / 1_000;
  return {
    name: raw.name,
    traceId: raw.traceId,
    spanId: raw.spanId,
    parentSpanId: raw.parentSpanId === undefined || raw.parentSpanId === '' ? null : raw.parentSpanId,
    kind: raw.kind,
    start: ms(raw.startTimeUnixNano),
    end: ms(raw.endTimeUnixNano),
    attributes: valuesOf(raw.attributes),
    events: (raw.events ?? []).map((event) => event.name),
    status: raw.status?.code ?? 0,
    service,
  };
}

function valuesOf(pairs: Pairs): Record<string, unknown> {
  return Object.fromEntries(
    pairs.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? value.doubleValue ?? Number(value.intValue),
    ]),
  );
}

/** Names from the root down to the span; throws when a span above it is missing. */
export function pathOf(span: ReceivedSpan, all: ReceivedSpan[]): string[] {
  if (span.parentSpanId === null) return [span.name];
  const parent = all.find((one) => one.spanId === span.parentSpanId);
  if (parent === undefined) throw new Error(`the span above "${span.name}" was never sent`);
  return [...pathOf(parent, all), span.name];
}
