import { z } from 'zod';
import { RunId } from './events.ts';
import { Name } from './task.ts';
import { decodeToken, encodeToken } from './tokens.ts';

/**
 * What a switch is about: everything, an agent (or one version of it), a user, a run with all that it delegated to, a
 * tool, a model. People write `global`, `agent:invoices`, `agent:invoices@2`, `user:alice`, `run:20260101-abc-1`,
 * `tool:send_mail`, `model:openai/gpt-5`; each scope has one such text. In the name of an agent `@` is written `%40`,
 * and `%` is written `%25`.
 */

const KINDS = {
  agent: Name,
  version: z.string().regex(/^[A-Za-z0-9._+-]{1,32}$/),
  user: Name,
  run: RunId,
  tool: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  model: z.string().min(1).max(128),
} as const;

export const SCOPE_FORMS = 'global, agent:NAME, agent:NAME@VERSION, user:NAME, run:ID, tool:NAME, model:PROVIDER/MODEL';

/** The text of a scope, in its one form. */
export const SwitchScope = z
  .string()
  .max(300)
  .refine((text) => tokensOfScope(text) !== null, `expected ${SCOPE_FORMS}`);

export const GLOBAL = 'global';

export function agentScope(agent: string, version?: string): string {
  const name = agent.replaceAll('%', '%25').replaceAll('@', '%40');
  return version === undefined ? `agent:${name}` : `agent:${name}@${version}`;
}

export function userScope(user: string): string {
  return `user:${user}`;
}

export function runScope(run: string): string {
  return `run:${run}`;
}

export function toolScope(tool: string): string {
  return `tool:${tool}`;
}

export function modelScope(model: string): string {
  return `model:${model}`;
}

/** The scopes that hold a run: the kinds from wide to narrow, then the runs above it. */
export function scopesOfRun(run: {
  run: string;
  agent: string;
  version: string;
  user: string;
  /** Runs that delegated it, and runs that it continues. */
  above: readonly string[];
}): string[] {
  const { agent, version, user, above } = run;
  return [
    GLOBAL,
    agentScope(agent),
    agentScope(agent, version),
    userScope(user),
    ...above.map(runScope),
    runScope(run.run),
  ];
}

/** Subject tokens of a scope; null for a text that is none. */
export function tokensOfScope(text: string): string[] | null {
  if (text === GLOBAL) return [GLOBAL];
  const colon = text.indexOf(':');
  const kind = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (colon < 0 || rest === '') return null;
  if (kind !== 'agent') {
    if (kind !== 'user' && kind !== 'run' && kind !== 'tool' && kind !== 'model') return null;
    return KINDS[kind].safeParse(rest).success ? [kind, encodeToken(rest)] : null;
  }
  const [name = '', version, ...more] = rest.split('@');
  const agent = name.replaceAll('%40', '@').replaceAll('%25', '%');
  if (more.length > 0 || !KINDS.agent.safeParse(agent).success) return null;
  if (version === undefined) return agentScope(agent) === text ? [kind, encodeToken(agent)] : null;
  if (!KINDS.version.safeParse(version).success || agentScope(agent, version) !== text) return null;
  return [kind, encodeToken(agent), encodeToken(version)];
}

/** The scope behind the tokens of a subject; null where they are not those of a scope. */
export function scopeOfTokens(tokens: readonly string[]): string | null {
  const [kind, ...encoded] = tokens;
  const names = encoded.map(decodeToken);
  const [first, second] = names;
  if (names.includes(null)) return null;
  let text: string;
  if (kind === GLOBAL && names.length === 0) text = GLOBAL;
  else if (kind === 'agent' && typeof first === 'string') text = agentScope(first, second ?? undefined);
  else text = `${kind}:${first}`;
  return tokensOfScope(text)?.join('.') === tokens.join('.') ? text : null;
}
