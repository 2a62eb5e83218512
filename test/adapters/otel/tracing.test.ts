import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  ParentBasedSampler,
  SimpleSpanProcessor,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import { describe, expect, it } from 'vitest';
import { spanIds } from '../../../src/adapters/otel/forced-ids.ts';
import { otelTracing } from '../../../src/adapters/otel/tracing.ts';
import type { FinishedSpan } from '../../../src/ports/telemetry.ts';
import { recordingLog, silent } from '../../runtime/support.ts';

const TRACE = 'f'.repeat(31).concat('1');
const place = { name: 'agent.run', trace: TRACE, span: 'a'.repeat(16), parent: null, start: 1_000, attributes: {} };
const finished: FinishedSpan = {
  ...place,
  kind: 'internal',
  end: 2_500,
  attributes: { 'agent.step': 1 },
  events: [{ name: 'claimed', at: 1_250, attributes: {} }],
  error: { type: 'timeout', message: 'too late' },
};

function sdk(options: Partial<ConstructorParameters<typeof BasicTracerProvider>[0]> = {}) {
  const exporter = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  const provider = new BasicTracerProvider({ idGenerator: spanIds, spanProcessors, ...options });
  return { exporter, tracer: provider.getTracer('test') };
}

describe('spans through the OpenTelemetry API', () => {
  it('have the ids, times, events and failure that they came with, though they began before this process', () => {
    const { exporter, tracer } = sdk();
    otelTracing(tracer, silent).report({ ...finished, parent: 'b'.repeat(16) });
    const [span] = exporter.getFinishedSpans();
    expect(span?.spanContext()).toMatchObject({ traceId: TRACE, spanId: 'a'.repeat(16), traceFlags: 1 });
    expect(span?.parentSpanContext?.spanId).toBe('b'.repeat(16));
    expect([span?.startTime, span?.endTime]).toEqual([
      [1, 0],
      [2, 500_000_000],
    ]);
    expect(span?.events[0]).toMatchObject({ name: 'claimed', time: [1, 250_000_000] });
    expect(span?.status).toEqual({ code: 2, message: 'too late' });
    expect(span?.attributes).toEqual({ 'agent.step': 1, 'error.type': 'timeout' });
  });

  it('begin a trace of their own where there is no parent', () => {
    const { exporter, tracer } = sdk();
    otelTracing(tracer, silent).report(finished);
    const [span] = exporter.getFinishedSpans();
    expect(span?.spanContext().traceId).toBe(TRACE);
    expect(span?.parentSpanContext).toBeUndefined();
  });

  it('leave other spans of the process their random ids', () => {
    const { exporter, tracer } = sdk();
    otelTracing(tracer, silent).report(finished);
    for (let i = 0; i < 3; i++) tracer.startSpan('another').end();
    const others = exporter.getFinishedSpans().filter((span) => span.name === 'another');
    expect(new Set(others.map((span) => span.spanContext().spanId)).size).toBe(3);
    for (const other of others) expect(other.spanContext().traceId).not.toBe(TRACE);
  });

  it('follow the sampler: of the ratio by the trace, and of the submitter by its flag', () => {
    const never = otelTracing(
      sdk({ sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0) }) }).tracer,
      silent,
    );
    const always = otelTracing(sdk().tracer, silent);
    const below = { ...place, parent: 'b'.repeat(16) };
    expect(never.sampled(place, null)).toBe(false);
    expect(never.sampled(below, true)).toBe(true);
    expect(always.sampled(place, null)).toBe(true);
    expect(always.sampled(below, false)).toBe(false);
  });

  it('asking the sampler sends nothing', () => {
    const { exporter, tracer } = sdk();
    otelTracing(tracer, silent).sampled(place, null);
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('are not made under an SDK with ids of its own, which would tear the tree apart, and the log says what to do', () => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    const log = recordingLog();
    const tracing = otelTracing(provider.getTracer('test'), log);
    expect(tracing.sampled(place, null)).toBe(false);
    expect(tracing.sampled(place, null)).toBe(false);
    expect(log.lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        event: 'telemetry.foreign_ids',
        fields: expect.objectContaining({ todo: expect.stringContaining('spanIds') }),
      }),
    ]);
  });

  it('cost nothing and are none without an SDK', () => {
    expect(otelTracing(trace.getTracer('nobody listens'), silent).sampled(place, null)).toBe(false);
  });
});
