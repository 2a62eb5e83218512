import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENT, PATIENCE_MS, PREFIX, type ResultsProcessOptions } from './wire.ts';

/** The node whose memory is looked at. */

const { url, slots } = childOptions<ResultsProcessOptions>();
const subjects = new Subjects(PREFIX);
const bus = await connectBus({ url }, 'results-node', subjects, silent);
const limits = { wall_ms: PATIENCE_MS, step_ms: PATIENCE_MS };
await startSupervisor({
  bus,
  subjects,
  firstPolicy: TRUSTING,
  log: silent,
  agents: [AgentDefinition.parse({ name: AGENT, model: 'plan', tools: ['*'], limits })],
  settings: { slots },
});
hearParent(() => {});
say('up');
