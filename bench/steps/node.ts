import { openSync, writeSync } from 'node:fs';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { logTo } from '../../src/app/local.ts';
import { startTelemetry } from '../../src/app/telemetry.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { createOperator } from '../../src/client/operator.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { Policy } from '../../src/core/policy.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Model } from '../../src/ports/model.ts';
import type { Log } from '../../src/ports/telemetry.ts';
import type { ToolSource } from '../../src/ports/tools.ts';
import { FULL_POLICY, PRICES } from '../policy/full.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { fileLog, silent } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import { TOOL_DEFINITION } from './tool.ts';
import { AGENT, RESULT, type StepProcessOptions, TOOL } from './wire.ts';

/**
 * A supervisor node that serves an agent whose model answers at once. A task whose input is a number asks for so many
 * steps; any other for as many as the options say.
 */

const options = childOptions<StepProcessOptions & { log?: string }>();

const model: Model = {
  think(input) {
    const steps = typeof input.task.input === 'number' ? input.task.input : options.steps;
    if (input.step > steps) return Promise.resolve(scripted({ action: 'final_answer', answer: 'ok' }));
    const args = { order: `o-${input.step}`, amount: 49.99 };
    return Promise.resolve(scripted({ action: 'tool_call', calls: [{ tool: TOOL, args }] }));
  },
};

const localTool: ToolSource = {
  find: (name) => Promise.resolve(name === TOOL ? TOOL_DEFINITION : null),
  call: () => Promise.resolve(RESULT),
};

const subjects = new Subjects(options.prefix);
const log = logOf(options);
const running =
  options.telemetry === true
    ? // biome-ignore lint/style/noProcessEnv: OpenTelemetry reads it as well
      await startTelemetry({ service: 'bench', instance: 'bench', env: process.env, log })
    : null;
const bus = await connectBus({ url: options.url }, 'bench-node', subjects, log);
const node = await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log,
  telemetry: running?.telemetry,
  agents: [
    AgentDefinition.parse({
      name: AGENT,
      model: 'bench',
      tools: ['*'],
      limits: { steps: 100_000, wall_ms: 3_600_000, tool_calls: 100_000 },
    }),
  ],
  models: { bench: model },
  tools: options.tool === 'local' ? [localTool] : [],
  settings: { slots: options.slots },
  ...(options.priced === true ? { pricing: PRICES } : {}),
});
if (options.policy === true) {
  const policy = Policy.parse(FULL_POLICY);
  const operator = createOperator({ bus, subjects, by: 'bench' });
  await operator.applyPolicy({ policy, lines: {}, text: JSON.stringify(policy), source: 'bench', running: false });
}
hearParent((message) => {
  if (message.stop !== true) return;
  void node
    .stop()
    .then(() => bus.close())
    .then(() => process.exit(0));
});
say('up');

function logOf({ log: path, logLevel }: typeof options): Log {
  if (path !== undefined) return fileLog(path);
  if (logLevel === undefined) return silent;
  const file = openSync('/dev/null', 'w');
  return logTo((line) => void writeSync(file, line), logLevel);
}
