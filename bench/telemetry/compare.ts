import { type CellOptions, type Figures, measure, medianFigures } from '../steps/cells.ts';
import { median, round } from '../support/numbers.ts';
import { progress } from '../support/report.ts';
import { startSink } from './sink.ts';
import { withoutTelemetry } from './without.ts';

/**
 * What telling about runs costs a node: without the code for it, with it and switched off, switched on, and with logs.
 * Each variant runs beside the baseline, at the same time, so whatever the machine does meanwhile happens to both; the
 * ratios of these pairs count, by their median. The baseline beside itself (`same`) shows how far that can be trusted.
 */

export const VARIANTS = ['same', 'off', 'on', 'logInfo', 'logDebug'] as const;
export type Variant = (typeof VARIANTS)[number];

/** Least that switching off may leave of the speed without any telemetry. */
export const LEAST_RATIO_OFF = 0.98;

export interface CompareOptions {
  concurrency: number;
  seconds: number;
  warmupSeconds: number;
  rounds: number;
  variants: Variant[];
}

export async function compareTelemetry(options: CompareOptions): Promise<Record<string, unknown>> {
  const { concurrency, rounds, variants } = options;
  const [sink, without] = await Promise.all([startSink(), withoutTelemetry()]);
  const cell = { seconds: options.seconds, warmupSeconds: options.warmupSeconds, nodeFlags: [], entries: [] };
  const baseline: CellOptions = { ...cell, base: without.base };
  const cells: Record<Variant, CellOptions> = {
    same: baseline,
    off: cell,
    on: { ...cell, node: { telemetry: true }, env: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url } },
    logInfo: { ...cell, node: { logLevel: 'info' } },
    logDebug: { ...cell, node: { logLevel: 'debug' } },
  };
  const pairs = new Map<Variant, Pair[]>(variants.map((name) => [name, []]));
  try {
    for (let i = 0; i < rounds; i++) {
      const order = [...variants.slice(i % variants.length), ...variants.slice(0, i % variants.length)];
      for (const name of order) {
        const [beside, own] = await Promise.all([
          measure('proctorInProcess', concurrency, baseline),
          measure('proctorInProcess', concurrency, cells[name]),
        ]);
        pairs.get(name)?.push({ beside, own });
        progress(`round ${i + 1}, ${name}: ${JSON.stringify(own)} beside ${JSON.stringify(beside)}`);
      }
    }
  } finally {
    sink.stop();
    await without.remove();
  }
  const of = (name: Variant) => pairs.get(name) ?? [];
  const ratio = (name: Variant, key: keyof Figures) =>
    round(median(of(name).map(({ own, beside }) => own[key] / beside[key])));
  const both = (name: Variant) => ({ speed: ratio(name, 'stepsPerSecond'), cpu: ratio(name, 'cpuUsPerStep') });
  return {
    baseline: medianFigures([...pairs.values()].flat().map(({ beside }) => beside)),
    ...Object.fromEntries(variants.map((name) => [name, medianFigures(of(name).map(({ own }) => own))])),
    ratioOff: both('off').speed,
    ratioOffCpu: both('off').cpu,
    ratioSame: both('same').speed,
    ratioSameCpu: both('same').cpu,
    ratioOn: both('on').speed,
    ratioOnCpu: both('on').cpu,
    exports: sink.requests(),
    concurrency,
    rounds,
    notes:
      'baseline: the same build without the lines that tell telemetry anything; each variant ran beside it at the same time, ratios are to it; same: the baseline beside itself, the noise; on: every span and figure to a collector over OTLP',
  };
}

interface Pair {
  /** The baseline that ran at the same time. */
  beside: Figures;
  own: Figures;
}
