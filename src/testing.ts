/**
 * `proctor/testing`: agents and tools under test without a server. Everything of Proctor is real (journal, chart,
 * limits, retries, recovery) but three things: messages go through memory, time is simulated, and the model says what
 * the test wrote.
 */

export { MemoryBroker, type MemoryBrokerOptions } from './adapters/memory/memory-broker.ts';
export { MemoryBus } from './adapters/memory/memory-bus.ts';
export { SimulatedClock } from './adapters/memory/simulated-clock.ts';
export {
  type RecordedThink,
  type ScriptedModel,
  type ScriptedReply,
  scripted,
  scriptedModel,
} from './adapters/model/scripted.ts';
export { createTestStack, type TestStack, type TestStackOptions } from './app/test-stack.ts';
