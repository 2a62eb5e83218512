export { type LoadedAgent, loadAgents } from '../adapters/definition-files/load-agents.ts';
export { type LoadedPolicy, loadPolicy } from '../adapters/definition-files/load-policy.ts';
