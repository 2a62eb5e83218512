import { metrics, trace } from '@opentelemetry/api';
import { VERSION } from '../../core/version.ts';
import type { Log, Telemetry } from '../../ports/telemetry.ts';
import { otelMetrics } from './metrics.ts';
import { otelTracing } from './tracing.ts';

/**
 * Traces and figures through the OpenTelemetry API of this process, whichever SDK stands behind it. With an SDK of
 * yours give its tracer provider `idGenerator: spanIds`.
 */
export function otelTelemetry(options: { log: Log; traces?: boolean; metrics?: boolean }): Telemetry {
  return {
    tracing: options.traces === false ? null : otelTracing(trace.getTracer('proctor', VERSION), options.log),
    metrics: options.metrics === false ? null : otelMetrics(metrics.getMeter('proctor', VERSION), options.log),
  };
}
