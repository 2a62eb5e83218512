import { setTimeout as delay } from 'node:timers/promises';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import type { Model } from '../../src/ports/model.ts';
import type { ToolSource } from '../../src/ports/tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENT, type ScalingNodeOptions, STEPS, TOOL, WAIT_MS } from './wire.ts';

/** A node whose runs wait in a tool, one call after the other; asked, it says how many calls have ended. */

const { url, prefix, name, slots } = childOptions<ScalingNodeOptions>();
let calls = 0;

const tools: ToolSource = {
  find: (tool) =>
    Promise.resolve(
      tool === TOOL
        ? ToolDefinition.parse({ name: TOOL, description: 'waits', parameters: { type: 'object' }, idempotent: true })
        : null,
    ),
  async call() {
    await delay(WAIT_MS);
    calls++;
    return null;
  },
};

const model: Model = {
  think: ({ step }) =>
    Promise.resolve(
      step > STEPS
        ? scripted({ action: 'final_answer', answer: 'ok' })
        : scripted({ action: 'tool_call', calls: [{ tool: TOOL, args: {} }] }),
    ),
};

const subjects = new Subjects(prefix);
const bus = await connectBus({ url }, name, subjects, silent);
await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log: silent,
  name,
  // It calls the same again and again on purpose.
  agents: [AgentDefinition.parse({ name: AGENT, model: 'bench', tools: ['*'], loops: { detect: false } })],
  models: { bench: model },
  tools: [tools],
  settings: { slots },
});
hearParent(() => say(`calls ${calls}`));
say('up');
