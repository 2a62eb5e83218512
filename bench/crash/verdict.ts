import { callId } from '../../src/core/ids.ts';
import { StatusEvent } from '../../src/core/status.ts';
import { streamsOf } from '../../src/core/streams.ts';
import type { Lane } from './lane.ts';
import { SCENARIO_NAMES, scenario } from './scenarios.ts';
import { readEffects } from './sink.ts';
import { difference, type RunStory, storyOf, type Trace } from './trace.ts';

/** What the drill found out about one lane; each list says what is wrong, in words. */
export interface Verdict {
  runs: number;
  entries: number;
  unknownOutcomes: number;
  withoutResult: string[];
  lostSteps: string[];
  divergedTraces: string[];
  repeatedIdempotentEffects: string[];
  repeatedNonIdempotentEffects: string[];
  /** Idempotent steps that took effect under more than one key: a call that was decided anew must keep the first one. */
  effectsUnderNewKeys: string[];
  /** Runs whose last stored status is not their end. */
  staleStatuses: string[];
  deadLetters: number;
  /** Activations left in the queue. */
  leftActivations: number;
}

/** The traces of undisturbed runs, by scenario; a delegated run's is `<scenario>/child`. */
export async function referenceTraces(lane: Lane): Promise<Map<string, Trace>> {
  await lane.node();
  await lane.submit(SCENARIO_NAMES);
  const open = await lane.finish(60_000);
  if (open.length > 0) throw new Error(`undisturbed runs do not end: ${open.join(', ')} (${lane.lastTrouble})`);
  await lane.stopWatching();
  await lane.observer.lost();
  const traces = new Map<string, Trace>();
  for (const [, story, kind, trace] of stories(lane)) if (story.ended) traces.set(kind, trace);
  return traces;
}

function* stories(lane: Lane): Generator<[string, RunStory, string, Trace]> {
  const { observer, tasks } = lane;
  const all = new Map([...observer.runs.keys()].map((run) => [run, storyOf(observer.entries(run))]));
  for (const [run, story] of all) {
    const own = story.session === undefined ? undefined : tasks.get(story.session);
    const parent = story.parent === undefined ? undefined : all.get(story.parent)?.session;
    const kind = own ?? `${parent === undefined ? '?' : tasks.get(parent)}/child`;
    yield [run, story, kind, story.trace(observer.results.get(run))];
  }
}

/** Looks at everything that a lane left behind. */
export async function judge(lane: Lane, references: Map<string, Trace>, open: string[]): Promise<Verdict> {
  const lostSteps = await lane.observer.lost();
  const verdict: Verdict = {
    runs: lane.observer.runs.size,
    entries: lane.observer.entriesSeen,
    unknownOutcomes: 0,
    withoutResult: open,
    lostSteps,
    divergedTraces: [],
    repeatedIdempotentEffects: [],
    repeatedNonIdempotentEffects: [],
    effectsUnderNewKeys: [],
    staleStatuses: await staleStatuses(lane),
    deadLetters: await count(lane, streamsOf(lane.subjects).dead.name),
    leftActivations: await count(lane, streamsOf(lane.subjects).queue.name),
  };
  const done = new Set<string>();
  for (const [run, story, kind, trace] of stories(lane)) {
    verdict.unknownOutcomes += story.unknown;
    const name = SCENARIO_NAMES.find((one) => one === kind);
    const reference = references.get(kind);
    if (reference === undefined) verdict.divergedTraces.push(`${run}: nothing to compare ${kind} with`);
    else if (name === undefined || scenario(name).exact) {
      const found = difference(reference, trace);
      if (found !== null) verdict.divergedTraces.push(`${run} (${kind}): ${found}`);
    }
    const keys = new Map<string, string>();
    for (const { n, events } of lane.observer.entries(run)) {
      for (const event of events) {
        if (event.type === 'call_done') done.add(keys.get(event.c) ?? `${run}:${event.c}`);
        if (event.type !== 'decided') continue;
        for (const [i, { key }] of (event.calls ?? []).entries()) if (key !== undefined) keys.set(callId(n, i), key);
      }
    }
  }
  judgeEffects(lane, verdict, done);
  return verdict;
}

/** An idempotent effect happened once a key, and for each call that is journalled as done; another at most once a key. */
function judgeEffects(lane: Lane, verdict: Verdict, done: Set<string>): void {
  const effects = readEffects(lane.settings.dir);
  const times = new Map<string, number>();
  const labels = new Map<string, number>();
  for (const effect of effects) {
    times.set(effect.key, (times.get(effect.key) ?? 0) + 1);
    const label = `${effect.run} ${effect.label}`;
    labels.set(label, (labels.get(label) ?? 0) + 1);
    if (times.get(effect.key) === 1) continue;
    const list = effect.kind === 'idem' ? verdict.repeatedIdempotentEffects : verdict.repeatedNonIdempotentEffects;
    list.push(`${effect.key} (${effect.label}) happened ${times.get(effect.key)} times`);
  }
  for (const effect of effects) {
    const label = `${effect.run} ${effect.label}`;
    const count = labels.get(label) ?? 0;
    if (count < 2) continue;
    labels.delete(label);
    // The people of the drill tell the truth, so not even a step that was decided anew repeats its effect.
    const list = effect.kind === 'once' ? verdict.repeatedNonIdempotentEffects : verdict.effectsUnderNewKeys;
    list.push(`${label} happened ${count} times`);
  }
  for (const key of done) if (!times.has(key)) verdict.lostSteps.push(`${key} is journalled as done and has no effect`);
}

async function staleStatuses(lane: Lane): Promise<string[]> {
  const stale: string[] = [];
  const { bus, subjects, observer } = lane;
  const last = new Map<string, string>();
  for await (const message of bus.scan(streamsOf(subjects).events.name, `${subjects.prefix}.evt.>`)) {
    const { run, phase, state, node, at } = StatusEvent.parse(JSON.parse(message.data));
    last.set(run, phase === 'complete' ? 'complete' : `${state} of ${at}, by ${node ?? 'nobody'}`);
  }
  for (const [run, result] of observer.results) {
    if (last.get(run) === 'complete') continue;
    stale.push(`${run}: ended at ${result.ended_at}, says ${last.get(run) ?? 'nothing'}`);
  }
  return stale;
}

async function count(lane: Lane, stream: string): Promise<number> {
  let messages = 0;
  for await (const _ of lane.bus.scan(stream, `${lane.subjects.prefix}.>`)) messages++;
  return messages;
}

/** What is known of the runs that got no result, for whoever looks for the reason. */
export async function describeOpen(lane: Lane, sessions: string[]): Promise<string[]> {
  const { bus, subjects, observer } = lane;
  const queued = new Map<string, string>();
  const { queue, inbox, tasks } = streamsOf(subjects);
  for (const stream of [queue.name, inbox.name, tasks.name]) {
    for await (const message of bus.scan(stream, `${subjects.prefix}.>`)) {
      const run = /"run":"([^"]+)"/.exec(message.data)?.[1] ?? message.subject.split('.')[2] ?? '';
      queued.set(run, `${queued.get(run) ?? ''} ${message.subject}#${message.seq}`);
    }
  }
  const lines: string[] = [];
  for (const [run, story] of [...observer.runs.keys()].map((id) => [id, storyOf(observer.entries(id))] as const)) {
    if (story.session === undefined || !sessions.includes(story.session)) continue;
    const tail = observer.entries(run).slice(-6);
    const events = tail.map(
      (entry) =>
        `${entry.n}@${entry.at} ${entry.events.map((event) => (event.type === 'decided' ? event.decision.action : JSON.stringify(event).slice(0, 200))).join('+')}`,
    );
    lines.push(
      `${story.session} ${run}: open ${JSON.stringify(story.open)}; waiting messages:${queued.get(run) ?? ' none'}; ends ${events.join(' | ')}`,
    );
  }
  return lines;
}
