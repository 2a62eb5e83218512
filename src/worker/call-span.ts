import { context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { type AppError, toAppError } from '../core/errors.ts';
import { redactText } from '../core/redact.ts';
import type { WireCall } from '../core/tool-wire.ts';
import { parseTraceparent } from '../core/traceparent.ts';
import { VERSION } from '../core/version.ts';

/**
 * The worker's part of a call as a span below the caller's, through the OpenTelemetry API of this process: it is the
 * active span while the handler runs, so whatever is instrumented there hangs below it. A call of a run that nobody
 * traces costs nothing.
 */
export async function inCallSpan<T>(call: WireCall, tool: string, work: () => Promise<T>): Promise<T> {
  const above = parseTraceparent(call.traceparent);
  if (above === null) return work();
  const parent = trace.setSpanContext(ROOT_CONTEXT, {
    traceId: above.trace,
    spanId: above.span,
    traceFlags: above.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  });
  const attributes = {
    'agent.execution_id': call.run,
    'gen_ai.agent.name': call.agent,
    'gen_ai.tool.name': tool,
    'gen_ai.tool.call.id': call.c,
    'action.tool': tool,
    'agent.attempt': call.attempt,
  };
  const span = trace
    .getTracer('proctor.worker', VERSION)
    .startSpan(`tool.call ${tool}`, { kind: SpanKind.SERVER, attributes }, parent);
  try {
    const result = await context.with(trace.setSpan(parent, span), work);
    span.setAttribute('observation.status', 'ok');
    return result;
  } catch (thrown) {
    fail(span, toAppError(thrown, 'tool_error'));
    throw thrown;
  } finally {
    span.end();
  }
}

/** For log lines: absent when nobody traces the run. */
export function traceOf(call: WireCall): { trace_id?: string } {
  const above = parseTraceparent(call.traceparent);
  return above?.sampled === true ? { trace_id: above.trace } : {};
}

function fail(span: Span, { code, message }: AppError): void {
  span.setAttributes({ 'observation.status': 'error', 'error.type': code });
  span.setStatus({ code: SpanStatusCode.ERROR, message: redactText(message).slice(0, 512) });
}
