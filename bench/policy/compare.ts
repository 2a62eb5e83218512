import { type Ratio, ratioOf } from '../support/numbers.ts';
import { progress } from '../support/report.ts';
import { startServer } from '../support/server.ts';
import { byTurns, roundTurn, type Side, type Turn, type TurnsOptions } from '../support/turns.ts';

/**
 * What a policy costs a node beside one that allows everything: with every section in force on a model that is free, and on
 * one with a price, where calls draw from what the run has reserved in every budget. By turns, as for telemetry.
 */

export const POLICY_VARIANTS = ['same', 'policy', 'priced'] as const;
type Variant = (typeof POLICY_VARIANTS)[number];

/** Most that the whole policy may cost: of the steps a second, and of the CPU time a step. */
export const MOST_COST_OF_POLICY = 0.15;

const SIDES: Record<Variant, Side> = {
  same: {},
  policy: { node: { policy: true } },
  priced: { node: { policy: true, priced: true } },
};

export interface PolicyCompared {
  baseline: Turn;
  speed: Record<Variant, Ratio>;
  cpu: Record<Variant, Ratio>;
}

export async function comparePolicy({ pairs, ...options }: TurnsOptions & { pairs: number }): Promise<PolicyCompared> {
  const found = new Map<Variant, [Turn, Turn][]>(POLICY_VARIANTS.map((name) => [name, []]));
  for (let i = 0; i < pairs; i++) {
    for (const name of POLICY_VARIANTS) {
      const server = await startServer();
      try {
        const turns = await byTurns(server, `p${i}`, [{}, SIDES[name]], options);
        found.get(name)?.push(turns);
        progress(`pair ${i + 1}, ${name}: ${JSON.stringify(turns.map(roundTurn))}`);
      } finally {
        await server.stop();
      }
    }
  }
  const of = (key: keyof Turn) =>
    Object.fromEntries(
      POLICY_VARIANTS.map((name) => [name, ratioOf((found.get(name) ?? []).map(([a, b]) => b[key] / a[key]))]),
    ) as Record<Variant, Ratio>;
  const [first] = found.get('same')?.[0] ?? [];
  if (first === undefined) throw new Error('no pair was measured');
  return { baseline: roundTurn(first), speed: of('stepsPerSecond'), cpu: of('cpuUsPerStep') };
}
