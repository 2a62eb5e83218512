import type { Command } from 'commander';
import type { Health } from '../core/cluster-wire.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { Ended, EXIT } from './failure.ts';
import { ago, line, paintFor } from './format.ts';
import type { Io } from './io.ts';
import { nodesText } from './nodes.ts';
import { table } from './table.ts';

/** How long something may wait for a node before it counts as trouble, milliseconds. */
const PATIENCE_MS = 60_000;
/** How long a node that was blocked is told of, milliseconds. */
const LATELY_MS = 3_600_000;

export function addHealth(program: Command, io: Io): void {
  addRemoteCommand(program, 'health', {
    summary: 'the cluster: nodes, what waits, and what is wrong',
    description:
      'Shows the nodes, what waits for them, dead letters, and runs without an owner. Notes runs that wait for a person, and nodes whose event loop was blocked within the last hour. Exits 1 when something is wrong: no node answers for an agent, something waits longer than a minute, or a run lost its node. "proctor doctor" looks at the set-up instead.',
    examples: ['proctor health', 'proctor health --json'],
  }).action(async (options: CommonOptions) => {
    const health = await withOperator(options, (operator) => operator.health());
    const problems = problemsOf(health);
    const notes = notesOf(health);
    if (options.json === true) io.out(JSON.stringify({ ok: problems.length === 0, problems, notes, ...health }));
    else io.out(healthText(io, health, problems, notes));
    if (problems.length > 0) throw new Ended(EXIT.failed);
  });
}

function problemsOf({ now, nodes, queues, stale }: Health): string[] {
  const problems: string[] = [];
  for (const { name, waiting, oldest_at } of queues) {
    if (oldest_at === null || now - oldest_at < PATIENCE_MS) continue;
    const todo = name.startsWith('agent:')
      ? 'start another node, or give nodes more slots (proctor up --slots)'
      : 'see the logs of the nodes';
    problems.push(`${name}: ${waiting} waiting, the oldest for ${ago(oldest_at, now)}: ${todo}`);
  }
  for (const { run, state, node, since } of stale) {
    const todo = 'start a node that runs its agent; the run goes on where it was';
    problems.push(`run ${run} is ${state} at node ${node}, which is gone; last seen ${ago(since, now)} ago: ${todo}`);
  }
  for (const name of new Set(nodes.map(({ node }) => node))) {
    const same = nodes.filter(({ node }) => node === name);
    if (same.length === 1) continue;
    const where = same.map(({ host }) => host).join(', ');
    problems.push(`${same.length} nodes are named ${name} (${where}): stop all but one, or give them other names`);
  }
  for (const agent of new Set(nodes.flatMap((node) => Object.keys(node.agents)))) {
    const words = nodes.map((node) => node.agents[agent]);
    const able = nodes.filter((node) => node.agents[agent] !== undefined && node.agents[agent].unusable === undefined);
    if (able.some(({ state }) => state === 'ready')) continue;
    if (able.length > 0) {
      const names = able.map(({ node, state }) => `${node} is ${state}`).join(', ');
      problems.push(
        `agent ${agent}: no node takes runs of it: ${names}: proctor nodes uncordon, or start another node`,
      );
      continue;
    }
    const why = words.find((word) => word?.unusable !== undefined)?.unusable ?? '';
    problems.push(`agent ${agent}: no node can run it: ${why}`);
  }
  return problems.map(line);
}

/** What is no fault of the cluster, and somebody must know of it. */
export function notesOf({ now, nodes, people }: Health): string[] {
  const notes: string[] = [];
  if (people !== undefined && people.count > 0) {
    const runs = people.count === 1 ? '1 run waits' : `${people.count} runs wait`;
    const since = people.oldest_at === null ? '' : `, the oldest for ${ago(people.oldest_at, now)}`;
    notes.push(`${people.complete ? '' : 'at least '}${runs} for a person${since}: proctor ps, then proctor why RUN`);
  }
  for (const { node, blocked } of nodes) {
    if (blocked === undefined || now - blocked.at > LATELY_MS) continue;
    const { run_id, agent, doing } = blocked;
    const by =
      run_id === undefined ? (doing ?? 'something that nobody knows') : `run ${run_id} of agent ${agent}, ${doing}`;
    notes.push(
      `node ${node} was blocked for ${Math.round(blocked.ms)} ms, ${ago(blocked.at, now)} ago, by ${by}: the log of the node has the stack (node.blocked)`,
    );
  }
  return notes.map(line);
}

function healthText(io: Io, health: Health, problems: string[], notes: string[]): string {
  const { now, nodes, queues, dead_letters } = health;
  const paint = paintFor(io);
  const waits = queues.map(({ name, waiting, oldest_at }) => [
    line(name),
    String(waiting),
    oldest_at === null ? '-' : ago(oldest_at, now),
  ]);
  const letters =
    dead_letters === 0 ? 'no dead letters' : paint.warn(`${dead_letters} dead letters: proctor deadletter ls`);
  const told = [
    ...problems.map((one) => paint.bad(`WRONG  ${one}`)),
    ...notes.map((one) => paint.warn(`NOTE   ${one}`)),
  ];
  const verdict = told.length === 0 ? paint.good('All is well.') : told.join('\n');
  return [nodesText(io, nodes, now), '', table(io, ['queue', 'waiting', 'oldest'], waits), '', letters, verdict].join(
    '\n',
  );
}
