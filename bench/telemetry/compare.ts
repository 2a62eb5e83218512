import { type CellOptions, type Figures, measure, medianFigures } from '../steps/cells.ts';
import { median, round } from '../support/numbers.ts';
import { progress } from '../support/report.ts';
import { startSink } from './sink.ts';
import { withoutTelemetry } from './without.ts';

/**
 * What telling about runs costs a node: without the code for it, with it and switched off, switched on, and with logs.
 * Each round measures all of them one after the other, beginning with another one each time; the medians count.
 */

export const VARIANTS = ['baseline', 'off', 'on', 'logInfo', 'logDebug'] as const;
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
  const cells: Record<Variant, CellOptions> = {
    baseline: { ...cell, base: without.base },
    off: cell,
    on: { ...cell, node: { telemetry: true }, env: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url } },
    logInfo: { ...cell, node: { logLevel: 'info' } },
    logDebug: { ...cell, node: { logLevel: 'debug' } },
  };
  const measured = new Map<Variant, Figures[]>(variants.map((name) => [name, []]));
  try {
    for (let i = 0; i < rounds; i++) {
      const order = [...variants.slice(i % variants.length), ...variants.slice(0, i % variants.length)];
      for (const name of order) {
        const figures = await measure('proctorInProcess', concurrency, cells[name]);
        measured.get(name)?.push(figures);
        progress(`round ${i + 1}, ${name}: ${JSON.stringify(figures)}`);
      }
    }
  } finally {
    sink.stop();
    await without.remove();
  }
  const of = (name: Variant) => measured.get(name) ?? [];
  // Within a round all were measured close together, so the ratio of each round is taken before the median.
  const ratio = (name: Variant, key: keyof Figures) =>
    round(median(of(name).map((one, i) => one[key] / (of('baseline')[i]?.[key] ?? Number.NaN))));
  return {
    ...Object.fromEntries(variants.map((name) => [name, medianFigures(of(name))])),
    ratioOff: ratio('off', 'stepsPerSecond'),
    ratioOffCpu: ratio('off', 'cpuUsPerStep'),
    ratioOn: ratio('on', 'stepsPerSecond'),
    ratioOnCpu: ratio('on', 'cpuUsPerStep'),
    exports: sink.requests(),
    concurrency,
    rounds,
    notes:
      'baseline: the same build without the lines that tell telemetry anything; on: every span and figure to a collector over OTLP; ratios are of each round, then the median',
  };
}
