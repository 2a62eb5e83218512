import { setTimeout as delay } from 'node:timers/promises';
import { connectBus } from '../../src/app.ts';
import { createOperator } from '../../src/client/operator.ts';
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
 * the put to the moment at which the last node knows (it begins nothing more in the scope), to the moment at which the
 * last one has read it from the stream, and to the acknowledgement; at the end, the effects that began in a killed scope
 * after that.
 *
 * What this process has to hear is kept small, as it shares the machine with those that are measured: the effects of the
 * runs and their results.
 */

export interface KillDrillOptions {
  kills: number;
  nodes: number;
  runs: number;
  seed: number;
}

/** How long a switch stays, so that late effects have time to show, milliseconds. */
const STAYS_MS = 150;
/** How long after the runs are there again the next order is put at the earliest, milliseconds. */
const SETTLE_MS = 20;
const USERS = 20;
/** An order is put when this share of the runs has begun an effect and not ended. */
const LIVE = 0.98;

/** A node has said that it heard or read an order. */
interface Told {
  node: number;
  scope: string;
  /** See wallClock. */
  at: number;
}

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
    const heard: Told[] = [];
    const read: Told[] = [];
    // Which agents the live runs are of is up to chance, and those of an agent that is seldom killed gather.
    const slots = runs;
    for (let i = 0; i < nodes; i++) {
      const options: KillNodeOptions = { url: server.url, prefix: subjects.prefix, name: `n${i}`, slots };
      const child = startChild(import.meta.url, './node', options);
      children.push(child);
      await child.until((line) => (line === 'up' ? true : null));
      child.process.stdout?.on('data', (chunk: Buffer) => {
        for (const [, what, scope = '', at] of chunk.toString().matchAll(/^(heard|read) (\S+) ([\d.]+)$/gm)) {
          (what === 'heard' ? heard : read).push({ node: i, scope, at: Number(at) });
        }
      });
    }
    const effects: Effect[] = [];
    const live = new Set<string>();
    const ended = new Set<string>();
    bus.subscribe(EFFECTS, ({ data }) => {
      const effect = JSON.parse(data) as Effect;
      effects.push(effect);
      if (!ended.has(effect.run)) live.add(effect.run);
    });
    bus.subscribe(`${subjects.prefix}.res.>`, ({ data }) => {
      const { run } = JSON.parse(data) as { run: string };
      ended.add(run);
      live.delete(run);
    });
    const random = seeded(seed);
    let submitted = 0;
    const topUp = async (): Promise<void> => {
      for (let missing = runs - (submitted - ended.size); missing > 0; missing--) {
        submitted++;
        void bus.publish(subjects.task(random.pick(AGENTS), `u${submitted % USERS}`), '{"input":"x"}');
      }
      const until = performance.now() + 60_000;
      while (live.size < runs * LIVE && performance.now() < until) await delay(5);
      await delay(SETTLE_MS);
    };
    const operator = createOperator({ bus, subjects, by: 'bench' });
    const scopeOf = (i: number): string => {
      if (i % 100 === 50) return 'global';
      if (i % 25 === 7) return `agent:${random.pick(AGENTS)}`;
      if (i % 25 === 13) return `agent:${random.pick(AGENTS)}@1`;
      if (i % 25 === 19) return `model:${random.pick(MODELS)}`;
      if (i % 25 === 22) return `tool:${random.pick(TOOLS)}`;
      if (i % 5 === 4) return `user:u${random.int(USERS)}`;
      return `run:${random.pick([...live])}`;
    };
    await topUp();
    progress(`${live.size} runs live on ${nodes} nodes`);
    const made: Kill[] = [];
    const knownMs: number[] = [];
    const readMs: number[] = [];
    const ackMs: number[] = [];
    const perScope: Record<string, number> = {};
    for (let i = 0; i < kills; i++) {
      const scope = scopeOf(i);
      const kind = scope.split(':')[0] ?? scope;
      perScope[kind] = (perScope[kind] ?? 0) + 1;
      const putAt = wallClock();
      heard.length = 0;
      read.length = 0;
      await operator.switch(scope, 'kill', 'a drill');
      const kill: Kill = { scope, ackAt: wallClock(), until: Number.POSITIVE_INFINITY };
      made.push(kill);
      ackMs.push(kill.ackAt - putAt);
      await delay(STAYS_MS);
      knownMs.push(lastOf(nodes, scope, [...heard, ...read]) - putAt);
      readMs.push(lastOf(nodes, scope, read) - putAt);
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
      readP50Ms: round(quantile(readMs, 0.5)),
      readP99Ms: round(quantile(readMs, 0.99)),
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

/** When the last of the nodes had said something about the scope; infinite when one never did. */
function lastOf(nodes: number, scope: string, said: Told[]): number {
  const first = new Map<number, number>();
  for (const { node, at } of said.filter((one) => one.scope === scope)) {
    first.set(node, Math.min(at, first.get(node) ?? Number.POSITIVE_INFINITY));
  }
  return first.size === nodes ? Math.max(...first.values()) : Number.POSITIVE_INFINITY;
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
