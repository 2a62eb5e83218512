import type { Log, Telemetry } from '../ports/telemetry.ts';

/**
 * Whether, and how, a process sends traces and figures: the `OTEL_*` variables of the OpenTelemetry specification decide.
 * Nothing of the SDK is loaded when none of them asks for it.
 */

export interface TelemetryOptions {
  /** `service.name` unless the environment says another. */
  service: string;
  /** `service.instance.id`: the name of the node or worker. */
  instance: string;
  /** The environment, or at least its OTEL_ part. */
  env: Readonly<Record<string, string | undefined>>;
  /** Keep figures for a Prometheus scrape as well. */
  prometheus?: boolean;
  log: Log;
}

export interface RunningTelemetry {
  telemetry: Telemetry;
  prometheusText(): Promise<string>;
  /** Sends what is left. */
  stop(): Promise<void>;
}

/** Null when nobody asks for anything. */
export async function startTelemetry(options: TelemetryOptions): Promise<RunningTelemetry | null> {
  const { log, service, instance } = options;
  const wanted = signalsOf(options.env);
  const prometheus = options.prometheus ?? false;
  for (const what of wanted.unknown) {
    log.warn('telemetry.not_supported', {
      what,
      consequence: 'it is ignored',
      todo: 'use otlp over http/json, or none',
    });
  }
  if (!wanted.traces && !wanted.metrics && !prometheus) return null;
  const [{ startSdk }, { otelTelemetry }] = await Promise.all([
    import('../adapters/otel/sdk.ts'),
    import('../adapters/otel/telemetry.ts'),
  ]);
  const { traces, metrics } = wanted;
  const sdk = startSdk({ service, instance, traces, metrics, prometheus, env: options.env, log });
  return {
    telemetry: otelTelemetry({ log, traces, metrics: metrics || prometheus }),
    prometheusText: () => sdk.prometheusText(),
    stop: () => sdk.stop(),
  };
}

interface Signals {
  traces: boolean;
  metrics: boolean;
  /** What was asked for and is not there. */
  unknown: string[];
}

/** A signal is sent when an exporter is named for it, or an address is given and nothing says otherwise. */
function signalsOf(env: TelemetryOptions['env']): Signals {
  const of = (name: string) => env[name]?.trim() ?? '';
  if (of('OTEL_SDK_DISABLED').toLowerCase() === 'true') return { traces: false, metrics: false, unknown: [] };
  const unknown: string[] = [];
  const signal = (kind: 'TRACES' | 'METRICS'): boolean => {
    const exporter = of(`OTEL_${kind}_EXPORTER`);
    const known = ['', 'otlp', 'none', 'prometheus'].includes(exporter);
    if (!known) unknown.push(`OTEL_${kind}_EXPORTER=${exporter}`);
    const address = of('OTEL_EXPORTER_OTLP_ENDPOINT') !== '' || of(`OTEL_EXPORTER_OTLP_${kind}_ENDPOINT`) !== '';
    const on = exporter === 'otlp' || (exporter === '' && address);
    const protocol = of(`OTEL_EXPORTER_OTLP_${kind}_PROTOCOL`) || of('OTEL_EXPORTER_OTLP_PROTOCOL');
    if (on && !['', 'http/json'].includes(protocol)) unknown.push(`${kind.toLowerCase()} over ${protocol}`);
    return on;
  };
  return { traces: signal('TRACES'), metrics: signal('METRICS'), unknown };
}
