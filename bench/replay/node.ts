import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { AppError } from '../../src/core/errors.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Model } from '../../src/ports/model.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { readRows } from '../support/rows.ts';
import { TRUSTING } from '../support/trusting.ts';
import { ToolNames } from './names.ts';
import type { ReplayProcessOptions } from './wire.ts';

/** The node of a replay: its model decides what the recorded agent decided, step by step. */

const { url, data, limit, slots } = childOptions<ReplayProcessOptions>();
const subjects = new Subjects('drill');
const rows = readRows(data, limit);
const names = new ToolNames();

const recorded: Model = {
  async think(input) {
    const row = rows[Number(input.task.input)];
    if (row === undefined) throw new AppError('unknown_row', `there is no row ${JSON.stringify(input.task.input)}`);
    const step = row.steps[input.step - 1];
    if (step === undefined) return scripted({ action: 'final_answer', answer: { steps: row.steps.length } });
    return scripted({ action: 'tool_call', calls: [{ tool: names.ours(step.tool), args: step.args }] });
  },
};

const bus = await connectBus({ url }, 'replay-node', subjects, silent);
const agent = AgentDefinition.parse({
  name: 'recorded',
  model: 'recorded',
  tools: ['*'],
  retry_backoff_ms: 0,
  // What is replayed may well be a loop.
  loops: { detect: false },
  limits: { steps: 100_000, wall_ms: 86_400_000, tool_calls: 100_000, failing_steps: 3 },
});
await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log: silent,
  agents: [agent],
  models: { recorded },
  settings: { slots, lease_ms: 30_000 },
});
hearParent(() => {});
say('up');
