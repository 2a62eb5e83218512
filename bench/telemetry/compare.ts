import { mean, type Ratio, ratioOf, round } from '../support/numbers.ts';
import { progress } from '../support/report.ts';
import { startServer } from '../support/server.ts';
import { byTurns, type Side, type Turn, type TurnsOptions } from '../support/turns.ts';
import { startSink } from './sink.ts';
import { withoutTelemetry } from './without.ts';

/**
 * What telling about runs costs a node: without the code for it, with it and switched off, switched on, and with logs.
 * Each variant takes turns with the baseline; one pair of processes gives one ratio, as two processes of the same build
 * differ by what their compilers happened to do. The baseline against itself (`same`) shows how far that can be trusted.
 */

export const VARIANTS = ['same', 'off', 'on', 'logInfo', 'logDebug'] as const;
export type Variant = (typeof VARIANTS)[number];

/** Most that telemetry which is switched off may cost: of the steps a second, and of the CPU time a step. */
export const MOST_COST_OFF = 0.02;

export interface CompareOptions extends TurnsOptions {
  /** Pairs of processes a variant. */
  pairs: number;
  variants: Variant[];
}

export interface Compared {
  baseline: Turn;
  speed: Partial<Record<Variant, Ratio>>;
  cpu: Partial<Record<Variant, Ratio>>;
  exports: number;
}

export async function compareTelemetry(options: CompareOptions): Promise<Compared> {
  const { pairs, variants } = options;
  const [sink, without] = await Promise.all([startSink(), withoutTelemetry()]);
  const baseline: Side = { base: without.base };
  const sides: Record<Variant, Side> = {
    same: baseline,
    off: {},
    on: { node: { telemetry: true }, env: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url } },
    logInfo: { node: { logLevel: 'info' } },
    logDebug: { node: { logLevel: 'debug' } },
  };
  const found = new Map<Variant, [Turn, Turn][]>(variants.map((name) => [name, []]));
  try {
    for (let i = 0; i < pairs; i++) {
      for (const name of variants) {
        const server = await startServer();
        try {
          const [beside, own] = await byTurns(server, `p${i}`, [baseline, sides[name]], options);
          found.get(name)?.push([beside, own]);
          const speed = round(own.stepsPerSecond / beside.stepsPerSecond);
          const cpu = round(own.cpuUsPerStep / beside.cpuUsPerStep);
          progress(`pair ${i + 1}, ${name}: speed ${speed}, cpu ${cpu} of ${JSON.stringify(beside)}`);
        } finally {
          await server.stop();
        }
      }
    }
  } finally {
    sink.stop();
    await without.remove();
  }
  const all = [...found.values()].flat().map(([beside]) => beside);
  const of = (key: keyof Turn) =>
    Object.fromEntries(
      variants.map((name) => [name, ratioOf((found.get(name) ?? []).map(([beside, own]) => own[key] / beside[key]))]),
    );
  return {
    baseline: {
      stepsPerSecond: round(mean(all.map((turn) => turn.stepsPerSecond))),
      cpuUsPerStep: round(mean(all.map((turn) => turn.cpuUsPerStep))),
    },
    speed: of('stepsPerSecond'),
    cpu: of('cpuUsPerStep'),
    exports: sink.requests(),
  };
}

/**
 * What these figures say against the cost of telemetry that is off. A cost counts when the mean is over the limit; a limit
 * that lies within two standard errors of the mean is not shown to be kept, and that is a fault of the measurement.
 */
export function faultsOf({ speed, cpu }: Pick<Compared, 'speed' | 'cpu'>): string[] {
  const costs = [
    { what: 'steps a second', cost: speed.off === undefined ? undefined : 1 - speed.off.mean, error: speed.off?.error },
    { what: 'CPU time a step', cost: cpu.off === undefined ? undefined : cpu.off.mean - 1, error: cpu.off?.error },
  ];
  return costs.flatMap(({ what, cost, error }) => {
    if (cost === undefined || error === undefined) return [];
    const said = `telemetry that is off costs ${percent(cost)} (standard error ${percent(error)}) of the ${what}`;
    if (cost > MOST_COST_OFF) return [`${said}; it may cost ${percent(MOST_COST_OFF)}`];
    return cost + 2 * error > MOST_COST_OFF
      ? [`${said}: not shown to be under ${percent(MOST_COST_OFF)}; take more pairs`]
      : [];
  });
}

function percent(part: number): string {
  return `${(100 * part).toFixed(2)} %`;
}
