import type { AgentDefinition } from '../../core/agent.ts';
import { AppError } from '../../core/errors.ts';

/**
 * Where an agent's model is reached and with which key. Keys come from the environment that the node was given and
 * from nowhere else. A provider's usual key belongs to the provider's usual address: an agent that names another
 * address gets no key unless it names that too, so a mistyped `base_url` sends no key to a stranger.
 */

export const PROVIDERS = ['openai', 'anthropic', 'compatible'] as const;
type Provider = (typeof PROVIDERS)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Target {
  provider: Provider;
  /** The model as the provider names it. */
  modelId: string;
  baseUrl: string;
  /** Absent for a server that asks for none. */
  key?: { variable: string; value: string };
}

const HOME: Record<Provider, string | undefined> = {
  openai: 'https://api.openai.com/v1',
  anthropic: 'https://api.anthropic.com/v1',
  compatible: undefined,
};

/** Whether an agent's `model` names a provider of this adapter. */
export function isProviderModel(model: string): boolean {
  const slash = model.indexOf('/');
  return slash > 0 && (PROVIDERS as readonly string[]).includes(model.slice(0, slash)) && slash < model.length - 1;
}

/** Throws AppError `no_model` that names the variable or the field to set. */
export function targetOf(agent: AgentDefinition, env: Environment): Target {
  const { model, model_options: options = {} } = agent;
  if (!isProviderModel(model)) {
    throw noModel(agent, `expected <provider>/<model id> with one of the providers ${PROVIDERS.join(', ')}`, 'model');
  }
  const slash = model.indexOf('/');
  const provider = model.slice(0, slash) as Provider;
  const prefix = provider.toUpperCase();
  const baseUrl = options.base_url ?? (set(env, `${prefix}_BASE_URL`) || HOME[provider]);
  if (baseUrl === undefined) {
    const text = `set the environment variable ${prefix}_BASE_URL or the agent's model_options.base_url to the address of the server, such as http://localhost:11434/v1`;
    throw noModel(agent, text, 'model_options.base_url');
  }
  checkAddress(agent, baseUrl, options.base_url === undefined ? `${prefix}_BASE_URL` : 'model_options.base_url');
  const key = keyOf(agent, env, provider);
  return {
    provider,
    modelId: model.slice(slash + 1),
    baseUrl: baseUrl.replace(/\/+$/, ''),
    ...(key === undefined ? {} : { key }),
  };
}

function keyOf(agent: AgentDefinition, env: Environment, provider: Provider): Target['key'] {
  const { base_url: ownAddress, api_key_env: named } = agent.model_options ?? {};
  const usual = `${provider.toUpperCase()}_API_KEY`;
  if (named === undefined && ownAddress !== undefined) {
    if (provider === 'compatible') return undefined;
    const text = `it has an address of its own, so say with model_options.api_key_env which key is sent there, such as ${usual}`;
    throw noModel(agent, text, 'model_options.api_key_env');
  }
  const variable = named ?? usual;
  const value = set(env, variable);
  if (value !== undefined) return { variable, value };
  if (named === undefined && provider === 'compatible') return undefined;
  throw noModel(agent, `set the environment variable ${variable} of the node to the provider's key`, 'model');
}

/** The message never shows the address: it may hold a password. */
function checkAddress(agent: AgentDefinition, address: string, where: string): void {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw noModel(agent, `${where} is no http or https address`, 'model_options.base_url');
  }
  if (url.username !== '' || url.password !== '') {
    throw noModel(
      agent,
      `${where} holds a user or password: put the key into a variable instead`,
      'model_options.base_url',
    );
  }
}

function set(env: Environment, variable: string): string | undefined {
  const value = env[variable]?.trim();
  return value === '' ? undefined : value;
}

function noModel(agent: AgentDefinition, text: string, field: string): AppError {
  return new AppError('no_model', `the model "${agent.model}" of agent "${agent.name}" cannot be used: ${text}`, {
    field,
  });
}
