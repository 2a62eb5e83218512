import {
  type Context,
  type HrTime,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { FinishedSpan, Log, SpanPlace, Tracing } from '../../ports/telemetry.ts';
import { spanIds } from './forced-ids.ts';

/**
 * Finished spans through the API's tracer, with the ids and times that they come with. An SDK that gives out ids of its
 * own would tear every trace apart, so nothing is traced under one.
 */
export function otelTracing(tracer: Tracer, log: Log): Tracing {
  let told = false;

  const start = (place: SpanPlace, kind: SpanKind, parentSampled: boolean): Span =>
    spanIds.during(place.trace, place.span, () =>
      tracer.startSpan(
        place.name,
        { kind, startTime: hrTime(place.start), attributes: place.attributes },
        below(place, parentSampled),
      ),
    );

  return {
    sampled(root, parentSampled) {
      // Never ended, so never exported: it is only asked what the sampler says.
      const span = start(root, SpanKind.INTERNAL, parentSampled ?? false);
      const { spanId, traceFlags } = span.spanContext();
      if (!span.isRecording() || (traceFlags & TraceFlags.SAMPLED) === 0) return false;
      if (spanId === root.span) return true;
      if (!told) {
        log.warn('telemetry.foreign_ids', {
          consequence: 'runs are not traced',
          todo: 'give the OpenTelemetry SDK of this process idGenerator: spanIds from proctor',
        });
      }
      told = true;
      return false;
    },
    report(finished) {
      const kind = finished.kind === 'client' ? SpanKind.CLIENT : SpanKind.INTERNAL;
      end(start(finished, kind, true), finished);
    },
  };
}

function end(span: Span, { events, error, end: at }: FinishedSpan): void {
  for (const event of events) span.addEvent(event.name, event.attributes, hrTime(event.at));
  if (error !== undefined) {
    span.setAttribute('error.type', error.type);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  span.end(hrTime(at));
}

function below({ trace: traceId, parent }: SpanPlace, sampled: boolean): Context {
  if (parent === null) return ROOT_CONTEXT;
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parent, traceFlags, isRemote: true });
}

/** A bare number from before this process began would count as milliseconds of its uptime. */
function hrTime(ms: number): HrTime {
  const whole = Math.floor(ms);
  return [Math.floor(whole / 1000), (whole % 1000) * 1_000_000 + Math.round((ms - whole) * 1_000_000)];
}
