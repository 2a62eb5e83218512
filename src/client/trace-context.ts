import { isSpanContextValid, TraceFlags, trace } from '@opentelemetry/api';
import { formatTraceparent, TRACEPARENT_HEADER } from '../core/traceparent.ts';

/** Headers with which a run joins the trace that is active where it is submitted; none without one. */
export function traceHeaders(): Record<string, string> {
  const active = trace.getActiveSpan()?.spanContext();
  if (active === undefined || !isSpanContextValid(active)) return {};
  const sampled = (active.traceFlags & TraceFlags.SAMPLED) !== 0;
  return { [TRACEPARENT_HEADER]: formatTraceparent({ trace: active.traceId, span: active.spanId, sampled }) };
}
