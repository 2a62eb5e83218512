import type { ApprovalReason } from '../../core/approval-rules.ts';
import { clip, type ErrorInfo } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import type { PolicyWords, RuleWord, Taint } from '../../core/policy.ts';
import type { ToolDefinition } from '../../core/tool.ts';
import { type CompiledPolicy, strictest } from './compile.ts';
import { resourcesOf } from './resource.ts';

/** What the policy says about one call: permissions (SEC-1), then how far the agent is trusted (SEC-4), then taint (SEC-5). */

export interface PolicyInput {
  policy: CompiledPolicy;
  /** Whose task it is. */
  user: string;
  /** The agent that asks, then those above it, the nearest first: none is allowed what one of them is not. */
  agents: readonly string[];
  definition: ToolDefinition;
  args: Record<string, Json>;
  /** The result from outside that the run has read; null when it has read none. */
  taint: Taint | null;
}

export interface PolicyVerdict {
  /** The gate that said no, as an error for the model to see. */
  refused: ErrorInfo | null;
  /** Why somebody has to approve the call. */
  asked: ApprovalReason[];
  /** The rules that said so, for the journal; null when there is nothing to tell: the built-in policy allows it. */
  words: PolicyWords | null;
  /** What the call brings comes from outside. */
  untrusted: boolean;
}

const ABOUT_NOTHING = { names: [''] };

export function judgeCall(input: PolicyInput): PolicyVerdict {
  const { policy, user, definition, args } = input;
  // Where no rule asks what a call is about, the schema and the tool judge its arguments.
  const resources = policy.looksAtResource(definition.name) ? resourcesOf(definition, args) : ABOUT_NOTHING;
  if ('fault' in resources) {
    const word: RuleWord = { gate: 'permission', says: 'deny', rule: 'resource' };
    const message = `${definition.name} is not called: what it is about cannot be told for sure. ${resources.fault}`;
    const refused = { code: 'not_permitted', message: clip(message, 2_048), retryable: false };
    return { refused, asked: [], words: { version: policy.version, rules: [word] }, untrusted: false };
  }
  const { names } = resources;
  const rules = [permissionFor(input, names)];
  const level = levelWord(input);
  if (level !== null) rules.push(level);
  rules.push(...taintWords(input));
  const denied = rules.find(({ says }) => says === 'deny');
  const silent = policy.version === 0 && rules.length === 1 && rules[0]?.says === 'allow';
  return {
    refused: denied === undefined ? null : refusal(input, denied),
    asked: rules.filter(({ says }) => says === 'ask').map((word) => reason(input, word)),
    words: silent ? null : { version: policy.version, rules },
    untrusted: policy.isUntrusted(definition, user, names),
  };
}

/** Whether a model is shown the tool at all: not when every call of it would be refused. */
export function isOffered(input: Omit<PolicyInput, 'args' | 'taint'>): boolean {
  const { policy, user, agents, definition } = input;
  return isTrusted(input) && agents.every((agent) => policy.mayEver({ user, agent, tool: definition.name }));
}

/** Whether the agents are trusted so far that they may call the tool at all. */
export function isTrusted(input: Pick<PolicyInput, 'policy' | 'agents' | 'definition'>): boolean {
  return levelWord(input)?.says !== 'deny';
}

/** The strictest of what the policy says to each agent about each resource. */
function permissionFor({ policy, user, agents, definition }: PolicyInput, names: string[]): RuleWord {
  let found: RuleWord | null = null;
  for (const agent of agents) {
    for (const resource of names) {
      const word = policy.permission({ user, agent, tool: definition.name, resource });
      if (found === null || (word.says !== found.says && strictest(word.says, found.says) === word.says)) found = word;
    }
  }
  return found ?? { gate: 'permission', says: 'deny', rule: 'default' };
}

/** Null when the level lets the call pass. */
function levelWord({
  policy,
  agents,
  definition,
}: Pick<PolicyInput, 'policy' | 'agents' | 'definition'>): RuleWord | null {
  const { level, rule, line } = policy.level(agents);
  const reads = definition.effect === 'read';
  const says = level === 'observe' || (level === 'read_only' && !reads) ? 'deny' : 'ask';
  if (level === 'autonomous' || (reads && says === 'ask')) return null;
  return { gate: 'autonomy', says, rule, ...(line === undefined ? {} : { line }) };
}

function taintWords({ policy, definition, taint }: PolicyInput): RuleWord[] {
  if (taint === null) return [];
  const words: RuleWord[] = [];
  if (definition.effect !== 'read') words.push(policy.tainted('writes'));
  if (policy.isEgress(definition)) words.push(policy.tainted('egress'));
  return words.filter(({ says }) => says !== 'allow');
}

const CODES: Record<RuleWord['gate'], string> = {
  permission: 'not_permitted',
  autonomy: 'autonomy_level',
  taint: 'tainted',
};

function refusal(input: PolicyInput, word: RuleWord): ErrorInfo {
  return { code: CODES[word.gate], message: clip(refusalText(input, word), 2_048), retryable: false };
}

function refusalText(input: PolicyInput, word: RuleWord): string {
  const { definition, user, policy, args } = input;
  const resources = resourcesOf(definition, args);
  const about = ('names' in resources ? resources.names : []).filter((name) => name !== '').slice(0, 3);
  const what = `${definition.name}${about.length === 0 ? '' : ` on ${about.map((name) => clip(name, 200)).join(', ')}`}`;
  if (word.gate === 'autonomy') {
    return `${what} is not allowed: ${levelText(input)} (${placeOf(word, policy.version)}). ${promotionText(input)}`;
  }
  if (word.gate === 'taint') return `${what} is not allowed: ${taintText(input)} (${placeOf(word, policy.version)})`;
  if (word.rule === 'default') {
    return `${what} is not allowed for user ${user}: no rule of ${nameOf(policy.version)} allows it`;
  }
  return `${what} is not allowed for user ${user}: ${placeOf(word, policy.version)} denies it`;
}

function reason(input: PolicyInput, word: RuleWord): ApprovalReason {
  const place = placeOf(word, input.policy.version);
  const texts: Record<RuleWord['gate'], () => string> = {
    permission: () => `${place} asks for it`,
    autonomy: () => `${levelText(input)} (${place})`,
    taint: () => `${taintText(input)} (${place})`,
  };
  return { rule: word.gate, text: clip(texts[word.gate](), 512) };
}

/** The agent that is trusted least of those that ask. */
function leastOf({ policy, agents }: Pick<PolicyInput, 'policy' | 'agents'>): string {
  const { level } = policy.level(agents);
  return agents.find((agent) => policy.level([agent]).level === level) ?? agents[0] ?? '';
}

/** What an operator does about a level that lets the call not pass. */
export function promotionText(input: Pick<PolicyInput, 'policy' | 'agents' | 'definition'>): string {
  const level = input.definition.effect === 'read' ? 'read_only' : 'supervised';
  const agent = leastOf(input);
  const instead = level === 'supervised' ? '; autonomous instead of supervised needs no approvals' : '';
  return `An operator promotes it with: proctor policy promote ${agent} ${level} --why TEXT, and --running for runs at work (in the policy: autonomy: [{ agent: ${agent}, level: ${level} }]${instead})`;
}

function levelText({ policy, agents }: PolicyInput): string {
  const { level } = policy.level(agents);
  const least = leastOf({ policy, agents });
  const whose = least === agents[0] ? `agent ${least}` : `agent ${least} above it`;
  if (level === 'observe') return `${whose} only observes, and calls no tools`;
  return level === 'read_only' ? `${whose} only reads` : `${whose} is supervised: what it changes needs an approval`;
}

function taintText({ taint }: PolicyInput): string {
  if (taint === null) return '';
  const where = taint.run === undefined ? `call ${taint.c}` : `call ${taint.c} of run ${taint.run}`;
  return `a result of ${taint.tool} (${where}), which comes from outside, was read before`;
}

export function nameOf(version: number): string {
  return version === 0 ? 'the built-in policy' : `policy ${version}`;
}

/** A rule as whoever looks for it finds it. */
export function placeOf({ rule, line }: RuleWord, version: number): string {
  return `rule ${rule} ${line === undefined ? 'of' : `in line ${line} of`} ${nameOf(version)}`;
}
