import { setTimeout as delay } from 'node:timers/promises';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { seeded } from '../support/random.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENT, type PacedNodeOptions } from './paced-wire.ts';

/** A node whose runs go on for as long as it is there, each with a step now and then. */

const { url, prefix, name, slots, stepMs, seed } = childOptions<PacedNodeOptions>();
const random = seeded(seed);
const TOOL = 'look';
const DEFINITION = ToolDefinition.parse({
  name: TOOL,
  description: 'Looks once more.',
  parameters: { type: 'object', properties: { step: { type: 'number' } } },
  idempotent: true,
  timeout_ms: 3_600_000,
});
const subjects = new Subjects(prefix);
const bus = await connectBus({ url }, name, subjects, silent);
await startSupervisor({
  bus,
  subjects,
  log: silent,
  name,
  agents: [
    AgentDefinition.parse({
      name: AGENT,
      model: 'paced',
      tools: ['*'],
      // It takes the same step again and again on purpose.
      loops: { detect: false },
      limits: {
        steps: 100_000,
        tool_calls: 100_000,
        wall_ms: 86_400_000,
        step_ms: 3_600_000,
        tokens: 1_000_000_000,
        cost_usd: 1_000,
      },
    }),
  ],
  models: {
    paced: {
      think: ({ step }) => Promise.resolve(scripted({ action: 'tool_call', calls: [{ tool: TOOL, args: { step } }] })),
    },
  },
  tools: [
    {
      find: (tool) => Promise.resolve(tool === TOOL ? DEFINITION : null),
      // Spread, so that runs do not step in time.
      call: () => delay(stepMs * (0.5 + random.next()), 'nothing new'),
    },
  ],
  firstPolicy: TRUSTING,
  settings: { slots, queue_limit: 1_000_000, user_queue_limit: 1_000_000 },
});
hearParent(() => {});
say('up');
