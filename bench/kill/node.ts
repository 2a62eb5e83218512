import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { AppError } from '../../src/core/errors.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import type { Model } from '../../src/ports/model.ts';
import type { Log } from '../../src/ports/telemetry.ts';
import type { ToolSource } from '../../src/ports/tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENTS, EFFECTS, type Effect, type KillNodeOptions, MODELS, TOOLS, wallClock } from './wire.ts';

/** A node whose runs wait in tools of a second and more, one after the other; it says when it hears and reads orders. */

const options = childOptions<KillNodeOptions>();
const subjects = new Subjects(options.prefix);
const bus = await connectBus({ url: options.url }, options.name, subjects, silent);
const sink = await connectBus({ url: options.url }, `${options.name}-sink`, subjects, silent);

const tools: ToolSource = {
  find: (name) =>
    Promise.resolve(
      TOOLS.some((tool) => tool === name)
        ? ToolDefinition.parse({ name, description: 'waits', parameters: { type: 'object' }, idempotent: true })
        : null,
    ),
  call({ run, agent, user, tool, signal, startBy }) {
    if (signal.aborted || Date.now() > startBy) return Promise.reject(new AppError('too_late', 'not begun'));
    const effect: Effect = { run, agent, user, tool, at: wallClock() };
    sink.emit(EFFECTS, JSON.stringify(effect));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(null), 1_000 + Math.floor(Math.random() * 2_000));
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(new AppError('aborted', 'told to stop'));
      });
    });
  },
};

const model: Model = {
  think: ({ step }) =>
    Promise.resolve(
      scripted({ action: 'tool_call', calls: [{ tool: TOOLS[step % TOOLS.length] ?? TOOLS[0], args: {} }] }),
    ),
};

const log: Log = {
  ...silent,
  info(event, fields = {}) {
    if (event === 'switch.heard') say(`heard ${String(fields.scope)} ${wallClock()}`);
  },
  warn(event, fields = {}) {
    if (event === 'switch.set' && fields.mode === 'kill') say(`read ${String(fields.scope)} ${wallClock()}`);
  },
  child: () => silent,
};

const limits = { steps: 100_000, wall_ms: 86_400_000, tool_calls: 100_000, failing_steps: 100_000 };
await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log,
  name: options.name,
  agents: AGENTS.map((name, i) =>
    AgentDefinition.parse({
      name,
      model: MODELS[i % 2],
      tools: ['*'],
      limits,
      loops: { detect: false },
      retry_backoff_ms: 20,
    }),
  ),
  models: Object.fromEntries(MODELS.map((name) => [name, model])),
  tools: [tools],
  settings: { slots: options.slots },
});
hearParent((message) => {
  // As a crash: nothing is handed over.
  if (message.stop === true) process.exit(0);
});
say('up');
