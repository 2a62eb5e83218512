import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { AGENT, type ParkedNodeOptions } from './wire.ts';

/** A node whose runs wait for a person at once, and are parked as soon as they wait. */

const { url, prefix, name, slots } = childOptions<ParkedNodeOptions>();
const subjects = new Subjects(prefix);
const bus = await connectBus({ url }, name, subjects, silent);
await startSupervisor({
  bus,
  subjects,
  log: silent,
  name,
  agents: [AgentDefinition.parse({ name: AGENT, model: 'asks' })],
  models: { asks: { think: () => Promise.resolve(scripted({ action: 'ask_human', question: 'which one?' })) } },
  settings: { slots, park_after_ms: 0, queue_limit: 1_000_000, user_queue_limit: 1_000_000 },
});
hearParent(() => {});
say('up');
