export { type LoadedAgent, loadAgents } from '../adapters/definition-files/load-agents.ts';
export { type LoadedPolicy, loadPolicy, policyIn } from '../adapters/definition-files/load-policy.ts';
export { withLevel } from '../adapters/definition-files/policy-level.ts';
