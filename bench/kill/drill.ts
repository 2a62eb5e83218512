import { setTimeout as delay } from 'node:timers/promises';
import { connectBus } from '../../src/app.ts';
import { createOperator } from '../../src/client/operator.ts';
import { StatusEvent } from '../../src/core/status.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type Child, startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { quantile, round } from '../support/numbers.ts';
import { seeded } from '../support/random.ts';
import { progress } from '../support/report.ts';
import { startServer } from '../support/server.ts';
import { AGENTS, EFFECTS, type Effect, type KillNodeOptions, MODELS, TOOLS, wallClock } from './wire.ts';

/**
 * Kills under load: runs that wait in tools on several node processes, orders over all scopes. For each: the time from
 * the put to the moment at which the last node knows, and to the acknowledgement; at the end, the effects that began
 * in a killed scope after that.
 */

export interface KillDrillOptions {
  kills: number;
  nodes: number;
  runs: number;
  seed: number;
}

/** How long a switch stays, so that late effects have time to show, milliseconds. */
const STAYS_MS = 150;
const USERS = 20;

interface Kill {
  scope: string;
  ackAt: number;
  /** When the revival was put; never, for runs. */
  until: number;
}

export async function killDrill({ kills, nodes, runs, seed }: KillDrillOptions) {
  const server = await startServer();
  const children: Child[] = [];
  try {
    const subjects = new Subjects('bench');
    const bus = await connectBus({ url: server.url }, 'bench', subjects, silent);
    const known = new Map<number, number[]>();
    const slots = Math.ceil((runs / nodes / AGENTS.length) * 2);
    for (let i = 0; i < nodes; i++) {
      const options: KillNodeOptions = { url: server.url, prefix: subjects.prefix, name: `n${i}`, slots };
      const child = startChild(import.meta.url, './node', options);
      children.push(child);
      await child.until((line) => (line === 'up' ? true : null));
      child.process.stdout?.on('data', (chunk: Buffer) => {
        for (const [, revision, at] of chunk.toString().matchAll(/known (\d+) ([\d.]+)/g)) {
          known.set(Number(revision), [...(known.get(Number(revision)) ?? []), Number(at)]);
        }
      });
    }
    const effects: Effect[] = [];
    bus.subscribe(EFFECTS, ({ data }) => void effects.push(JSON.parse(data) as Effect));
    const live = new Map<string, StatusEvent>();
    bus.subscribe(`${subjects.prefix}.evt.>`, ({ data }) => {
      const status = StatusEvent.parse(JSON.parse(data));
      if (status.phase === 'complete') live.delete(status.run);
      else live.set(status.run, status);
    });
    const random = seeded(seed);
    let submitted = 0;
    const topUp = async (): Promise<void> => {
      for (let missing = runs - live.size; missing > 0; missing--) {
        submitted++;
        void bus.publish(subjects.task(random.pick(AGENTS), `u${submitted % USERS}`), '{"input":"x"}');
      }
      const until = performance.now() + 60_000;
      while (live.size < runs * 0.9 && performance.now() < until) await delay(20);
    };
    const operator = createOperator({ bus, subjects, by: 'bench' });
    const scopeOf = (i: number): string => {
      if (i % 100 === 50) return 'global';
      if (i % 25 === 7) return `agent:${random.pick(AGENTS)}`;
      if (i % 25 === 13) return `agent:${random.pick(AGENTS)}@1`;
      if (i % 25 === 19) return `model:${random.pick(MODELS)}`;
      if (i % 25 === 22) return `tool:${random.pick(TOOLS)}`;
      if (i % 5 === 4) return `user:u${random.int(USERS)}`;
      return `run:${random.pick([...live.keys()])}`;
    };
    await topUp();
    progress(`${live.size} runs live on ${nodes} nodes`);
    const made: Kill[] = [];
    const knownMs: number[] = [];
    const ackMs: number[] = [];
    const perScope: Record<string, number> = {};
    for (let i = 0; i < kills; i++) {
      const scope = scopeOf(i);
      const kind = scope.split(':')[0] ?? scope;
      perScope[kind] = (perScope[kind] ?? 0) + 1;
      const putAt = wallClock();
      const done = await operator.switch(scope, 'kill', 'a drill');
      const kill: Kill = { scope, ackAt: wallClock(), until: Number.POSITIVE_INFINITY };
      made.push(kill);
      ackMs.push(kill.ackAt - putAt);
      await delay(STAYS_MS);
      const at = known.get(done.revision) ?? [];
      knownMs.push(at.length === nodes ? Math.max(...at) - putAt : Number.POSITIVE_INFINITY);
      if (kind !== 'run') {
        kill.until = wallClock();
        await operator.switch(scope, 'revive', 'a drill');
      }
      await topUp();
      if (i % 50 === 49) progress(`${i + 1} kills, ${effects.length} effects`);
    }
    await delay(500);
    const late = lateEffects(made, effects);
    for (const one of late.slice(0, 10)) progress(`late: ${JSON.stringify(one)}`);
    await bus.close();
    return {
      kills,
      knownP50Ms: round(quantile(knownMs, 0.5)),
      knownP99Ms: round(quantile(knownMs, 0.99)),
      acknowledgedP50Ms: round(quantile(ackMs, 0.5)),
      acknowledgedP99Ms: round(quantile(ackMs, 0.99)),
      lateEffects: late.length,
      effects: effects.length,
      runs: submitted,
      nodes,
      perScope,
    };
  } finally {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await server.stop();
  }
}

/** Effects that began in a killed scope between the acknowledgement and the revival. */
function lateEffects(kills: Kill[], effects: Effect[]): (Effect & { scope: string; afterMs: number })[] {
  const byScope = new Map<string, Kill[]>();
  for (const kill of kills) byScope.set(kill.scope, [...(byScope.get(kill.scope) ?? []), kill]);
  return effects.flatMap((effect) => {
    const { run, agent, user, tool, at } = effect;
    const scopes = ['global', `agent:${agent}`, `agent:${agent}@1`, `user:${user}`, `run:${run}`, `tool:${tool}`];
    const hit = scopes.flatMap((scope) => byScope.get(scope) ?? []).find((kill) => at > kill.ackAt && at < kill.until);
    return hit === undefined ? [] : [{ ...effect, scope: hit.scope, afterMs: at - hit.ackAt }];
  });
}
