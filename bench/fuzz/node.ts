import { z } from 'zod';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { defineLocalTool } from '../../src/adapters/toolbox/local-tool.ts';
import { localToolSource } from '../../src/adapters/toolbox/source.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import type { Json } from '../../src/core/json.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { fileLog } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';

/** The node that gets the hostile tasks. Asked for it, it collects garbage and says what memory it holds. */

const { url, log: file } = childOptions<{ url: string; log: string }>();
const limits = { steps: 300, wall_ms: 30_000, tool_calls: 500 };
const common = { tools: ['*'], limits, retry_backoff_ms: 5 };
const subjects = new Subjects('drill');
const log = fileLog(file);

const echo = defineLocalTool({
  name: 'echo',
  description: 'answers its arguments',
  parameters: z.looseObject({}),
  idempotent: true,
  run: (args) => Promise.resolve(args as Json),
});
const bus = await connectBus({ url }, 'fuzz-node', subjects, log);
await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log,
  agents: [
    AgentDefinition.parse({ name: 'plan', model: 'plan', ...common }),
    AgentDefinition.parse({ name: 'parrot', model: 'parrot', ...common }),
  ],
  models: {
    parrot: { think: (input) => Promise.resolve(scripted({ action: 'final_answer', answer: input.task.input })) },
  },
  tools: [localToolSource([echo], systemClock())],
  settings: { slots: 64, park_after_ms: 200 },
});
hearParent((message) => {
  if (message.memory !== true) return;
  global.gc?.();
  global.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  say(JSON.stringify({ rss, heapUsed, external }));
});
say('up');
