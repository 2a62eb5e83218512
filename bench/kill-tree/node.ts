import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { AppError } from '../../src/core/errors.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import type { Model } from '../../src/ports/model.ts';
import type { Log } from '../../src/ports/telemetry.ts';
import type { ToolSource } from '../../src/ports/tools.ts';
import { wallClock } from '../kill/wire.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import {
  LEAF,
  LEAVES,
  MIDDLE,
  MIDDLES,
  ROOT,
  TREE_EFFECTS,
  TREE_STARTS,
  type TreeEffect,
  type TreeNodeOptions,
} from './wire.ts';

/**
 * A node whose runs are trees: a root delegates to a team, each member after a while of its own to another, and the
 * leaves do one thing after the other until they are stopped.
 */

const options = childOptions<TreeNodeOptions>();
const subjects = new Subjects(options.prefix);
const bus = await connectBus({ url: options.url }, options.name, subjects, silent);
const sink = await connectBus({ url: options.url }, `${options.name}-sink`, subjects, silent);

/** How long a member takes before it delegates, at most: so some attach while the kill is on its way. */
const DAWDLE_MS = 400;
const WORK_MS = 200;

const pause = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new AppError('aborted', 'told to stop'));
    });
  });

const definition = ToolDefinition.parse({
  name: 'work',
  description: 'works',
  parameters: { type: 'object' },
  idempotent: true,
});
const tools: ToolSource = {
  find: async (name) => (name === 'work' ? definition : null),
  async call({ run, user, signal, startBy }) {
    const { lateMs } = options;
    if (lateMs === undefined && (signal.aborted || Date.now() > startBy)) throw new AppError('too_late', 'not begun');
    if (lateMs !== undefined) await pause(lateMs);
    const effect: TreeEffect = { tree: user, run, at: wallClock() };
    sink.emit(TREE_EFFECTS, JSON.stringify(effect));
    await pause(WORK_MS, signal);
    return null;
  },
};

const team = (agent: string, size: number): Model => ({
  async think({ step, signal }) {
    if (step > 1) return scripted({ action: 'final_answer', answer: 'done' });
    if (agent === LEAF) await pause(Math.random() * DAWDLE_MS, signal);
    return scripted({ action: 'delegate', members: Array.from({ length: size }, () => ({ agent, input: 'part' })) });
  },
});
const leaf: Model = {
  think: async () => scripted({ action: 'tool_call', calls: [{ tool: 'work', args: {} }] }),
};

/** Tells of each run that begins here. */
const log: Log = {
  ...silent,
  child: ({ run_id, user_id }) => ({
    ...silent,
    info(event) {
      if (event !== 'agent.start') return;
      const start: TreeEffect = { tree: String(user_id), run: String(run_id), at: wallClock() };
      sink.emit(TREE_STARTS, JSON.stringify(start));
    },
  }),
};

const limits = { steps: 100_000, wall_ms: 86_400_000, tool_calls: 100_000, failing_steps: 100_000, tokens: 1_000_000 };
const agent = (name: string, model: string, delegates_to: string[]) =>
  // Leaves call the same again and again on purpose.
  AgentDefinition.parse({ name, model, tools: ['work'], delegates_to, limits, loops: { detect: false } });
await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log,
  name: options.name,
  agents: [agent(ROOT, 'bench/root', [MIDDLE]), agent(MIDDLE, 'bench/middle', [LEAF]), agent(LEAF, 'bench/leaf', [])],
  models: { 'bench/root': team(MIDDLE, MIDDLES), 'bench/middle': team(LEAF, LEAVES), 'bench/leaf': leaf },
  tools: [tools],
  settings: { slots: options.slots, park_after_ms: 60_000 },
});
hearParent((message) => {
  // As a crash: nothing is handed over.
  if (message.stop === true) process.exit(0);
});
say('up');
