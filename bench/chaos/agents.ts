import { AgentDefinition } from '../../src/core/agent.ts';
import { AGENTS as CRASH_AGENTS } from '../crash/agents.ts';

const scribe = CRASH_AGENTS.find(({ name }) => name === 'script');

/** Those of the crash drill, and `scribe`, which does what `script` does under a name and in lanes of its own. */
export const AGENTS: AgentDefinition[] = [...CRASH_AGENTS, AgentDefinition.parse({ ...scribe, name: 'scribe' })];
