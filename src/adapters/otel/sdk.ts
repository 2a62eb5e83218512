import { DiagLogLevel, diag, metrics } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type IMetricReader,
  MeterProvider,
  type MetricData,
  MetricReader,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { redactText } from '../../core/redact.ts';
import { VERSION } from '../../core/version.ts';
import type { Log } from '../../ports/telemetry.ts';
import { spanIds } from './forced-ids.ts';

/**
 * The OpenTelemetry SDK for a process of ours, with what the `OTEL_*` variables say about addresses, headers, batches,
 * sampling and resource. Loaded only where something asks for it: it costs some 30 MB.
 */

export interface SdkOptions {
  /** `service.name` unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say another. */
  service: string;
  /** `service.instance.id`. */
  instance: string;
  traces: boolean;
  /** Send figures over OTLP. */
  metrics: boolean;
  /** Keep figures for a Prometheus scrape. */
  prometheus: boolean;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
}

export interface Sdk {
  /** The figures as Prometheus reads them. */
  prometheusText(): Promise<string>;
  /** Sends what is left; waits at most 5 s for whoever takes it. */
  stop(): Promise<void>;
}

const STOP_MS = 5_000;
/** Spans that wait to be sent; more are dropped. The SDK's own 2,048 are a fraction of a second of a busy node. */
const MOST_QUEUED = 16_384;
/** A scrape does not wait longer for the figures that are asked of the server. */
const COLLECT_MS = 2_000;

export function startSdk(options: SdkOptions): Sdk {
  const { log, service, instance } = options;
  diag.setLogger(diagnostics(log), DiagLogLevel.WARN);
  const resource = resourceFromAttributes({
    'service.name': service,
    'service.version': VERSION,
    'service.instance.id': instance,
  }).merge(detectResources({ detectors: [envDetector] }));
  const stops: (() => Promise<void>)[] = [];

  if (options.traces) {
    // What is given here goes before what the environment says.
    const queue = options.env.OTEL_BSP_MAX_QUEUE_SIZE === undefined ? { maxQueueSize: MOST_QUEUED } : {};
    const provider = new NodeTracerProvider({
      resource,
      idGenerator: spanIds,
      spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), queue)],
    });
    provider.register();
    stops.push(() => provider.shutdown());
  }
  const scraped = options.prometheus ? new ScrapedReader() : null;
  const readers: IMetricReader[] = scraped === null ? [] : [scraped];
  if (options.metrics) readers.push(new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() }));
  if (readers.length > 0) {
    const provider = new MeterProvider({ resource, readers });
    metrics.setGlobalMeterProvider(provider);
    stops.push(() => provider.shutdown());
  }

  const serializer = new PrometheusSerializer();
  return {
    async prometheusText() {
      if (scraped === null) return '';
      const { resourceMetrics, errors } = await scraped.collect({ timeoutMillis: COLLECT_MS });
      for (const error of errors) log.warn('telemetry.not_collected', { message: String(error) });
      return serializer.serialize(namedForPrometheus(resourceMetrics));
    },
    async stop() {
      const all = Promise.allSettled(stops.map((stop) => stop()));
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_MS);
      });
      await Promise.race([all, late]);
      clearTimeout(timer);
    },
  };
}

/** What Prometheus calls a unit; counted things have none. */
const UNIT_NAMES: Readonly<Record<string, string>> = { s: 'seconds', USD: 'usd' };

/** Names end with their unit, as a collector makes them: a dashboard fits, whichever way the figures came. */
function namedForPrometheus(all: ResourceMetrics): ResourceMetrics {
  const named = <T extends MetricData>(metric: T): T => {
    const { name, unit } = metric.descriptor;
    const suffix = UNIT_NAMES[unit];
    return {
      ...metric,
      descriptor: { ...metric.descriptor, name: suffix === undefined ? name : `${name}.${suffix}`, unit: suffix ?? '' },
    };
  };
  const scopeMetrics = all.scopeMetrics.map((scope) => ({ ...scope, metrics: scope.metrics.map(named) }));
  return { ...all, scopeMetrics };
}

/** Figures since the start, collected when somebody asks. */
class ScrapedReader extends MetricReader {
  constructor() {
    super({ aggregationTemporalitySelector: () => AggregationTemporality.CUMULATIVE });
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the SDK has to say, such as a collector that cannot be reached. */
function diagnostics(log: Log) {
  const say = (level: 'debug' | 'warn' | 'error') => (message: string) =>
    log[level]('telemetry.sdk', { message: redactText(message).slice(0, 500) });
  return { verbose: say('debug'), debug: say('debug'), info: say('debug'), warn: say('warn'), error: say('error') };
}
