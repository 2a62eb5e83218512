export { type LoadedAgent, loadAgents } from '../adapters/agent-files/load-agents.ts';
