import {
  AUTONOMY_LEVELS,
  type AutonomyLevel,
  DEFAULT_ROLE,
  FIRST_LEVEL,
  type Policy,
  type PolicyRecord,
  type RuleWord,
  type Says,
  type TaintRules,
} from '../../core/policy.ts';
import type { ToolDefinition } from '../../core/tool.ts';

/**
 * A policy made ready for use, once a version: a call then costs a look at the few rules that name its tool. All
 * answers are functions of the policy and what is asked; what is kept here only saves work.
 */

export interface CompiledPolicy {
  readonly version: number;
  readonly policy: Policy;
  /** The first rule that fits; the default, which denies, when none does. */
  permission(asked: { user: string; agent: string; tool: string; resource: string }): RuleWord;
  /** Whether it matters what a call of the tool is about. */
  looksAtResource(tool: string): boolean;
  /** Whether there is anything that the agent may do with the tool for the user, if somebody approves it. */
  mayEver(asked: { user: string; agent: string; tool: string }): boolean;
  /** How far the agents are trusted together: no further than the one that is trusted least. */
  level(agents: readonly string[]): { level: AutonomyLevel; rule: string; line?: number };
  /** Whether what the tool brings about the resources comes from outside. */
  isUntrusted(definition: ToolDefinition, user: string, resources: readonly string[]): boolean;
  /** Whether the tool's arguments reach somebody outside. */
  isEgress(definition: ToolDefinition): boolean;
  /** What the policy says of calls after content from outside was read. */
  tainted(kind: 'writes' | 'egress'): RuleWord;
}

/** Names that are remembered with what they lead to; forgotten all at once when there are more. */
const REMEMBERED = 2_000;

/** Of several answers the strictest counts. */
export function strictest(a: Says, b: Says): Says {
  if (a === 'deny' || b === 'deny') return 'deny';
  return a === 'ask' || b === 'ask' ? 'ask' : 'allow';
}

export function compilePolicy({ version, policy, lines }: PolicyRecord): CompiledPolicy {
  const at = (path: string) => (lines[path] === undefined ? {} : { line: lines[path] });
  const rules = policy.permissions.map((rule, i) => ({
    role: rule.role,
    agent: matcher(rule.agent),
    tool: matcher(rule.tool),
    resource: resourceMatcher(rule.resource, policy.own),
    fitsAll: rule.resource === '*',
    word: {
      gate: 'permission',
      says: rule.do,
      rule: rule.id ?? `permissions.${i}`,
      ...at(`permissions.${i}`),
    } as const,
  }));
  const none: RuleWord = { gate: 'permission', says: 'deny', rule: 'default' };
  const roles = Object.entries(policy.roles).map(([role, users]) => ({ role, users: users.map(matcher) }));
  const levels = policy.autonomy.map((rule, i) => ({
    agent: matcher(rule.agent),
    level: rule.level,
    rule: rule.id ?? `autonomy.${i}`,
    ...at(`autonomy.${i}`),
  }));
  const sources = policy.taint.sources.map(({ tool, resource, trusted }) => ({
    tool: matcher(tool),
    resource: resourceMatcher(resource, policy.own),
    trusted,
  }));
  const egress = policy.taint.egress_tools.map(matcher);
  const words = {
    writes: taintWord('writes', policy.taint, at),
    egress: taintWord('egress', policy.taint, at),
  };
  const rulesOf = remembered((tool: string) => rules.filter((rule) => rule.tool(tool)));
  const rolesOf = remembered((user: string) => {
    const named = roles.filter(({ users }) => users.some((fits) => fits(user))).map(({ role }) => role);
    return named.length === 0 ? [DEFAULT_ROLE] : named;
  });
  const levelOf = remembered((agent: string) => levels.find((rule) => rule.agent(agent)));
  return {
    version,
    policy,
    permission: ({ user, agent, tool, resource }) => {
      const mine = rolesOf(user);
      for (const rule of rulesOf(tool)) {
        if (rule.role !== '*' && !mine.includes(rule.role)) continue;
        if (rule.agent(agent) && rule.resource(resource, user)) return rule.word;
      }
      return none;
    },
    looksAtResource: remembered(
      (tool: string) =>
        rulesOf(tool).some(({ fitsAll }) => !fitsAll) ||
        policy.taint.sources.some((source, i) => source.resource !== '*' && sources[i]?.tool(tool) === true),
    ),
    mayEver: ({ user, agent, tool }) => {
      const mine = rolesOf(user);
      const about = rulesOf(tool).filter(
        ({ role, agent: fits }) => (role === '*' || mine.includes(role)) && fits(agent),
      );
      const open = about.findIndex(({ word }) => word.says !== 'deny');
      return open >= 0 && !about.slice(0, open).some(({ fitsAll }) => fitsAll);
    },
    level: (agents) => {
      let least: ReturnType<CompiledPolicy['level']> | null = null;
      for (const agent of agents) {
        const found = levelOf(agent);
        const { level, rule, line } = found ?? { level: FIRST_LEVEL, rule: 'default', line: undefined };
        if (least !== null && AUTONOMY_LEVELS.indexOf(level) >= AUTONOMY_LEVELS.indexOf(least.level)) continue;
        least = { level, rule, ...(line === undefined ? {} : { line }) };
      }
      return least ?? { level: 'observe', rule: 'default' };
    },
    isUntrusted: (definition, user, resources) => {
      const declared = definition.untrusted === true;
      if (sources.length === 0) return declared;
      const about = sources.filter((source) => source.tool(definition.name));
      return resources.some((resource) => {
        const found = about.find((source) => source.resource(resource, user));
        return found === undefined ? declared : !found.trusted;
      });
    },
    isEgress: (definition) => definition.egress === true || egress.some((fits) => fits(definition.name)),
    tainted: (kind) => words[kind],
  };
}

function taintWord(
  kind: 'writes' | 'egress',
  taint: TaintRules,
  at: (path: string) => { line?: number | undefined },
): RuleWord {
  const { line } = at(`taint.${kind}`);
  return { gate: 'taint', says: taint[kind], rule: `taint.${kind}`, ...(line === undefined ? {} : { line }) };
}

type Matcher = (text: string) => boolean;

function matcher(pattern: string): Matcher {
  if (pattern === '*') return () => true;
  if (!pattern.endsWith('*')) return (text) => text === pattern;
  const beginning = pattern.slice(0, -1);
  return (text) => text.startsWith(beginning);
}

/** `own:` stands for how the names of what belongs to the user begin. */
function resourceMatcher(pattern: string, own: string): (resource: string, user: string) => boolean {
  if (!pattern.startsWith('own:')) {
    const fits = matcher(pattern);
    if (!pattern.endsWith('/*')) return fits;
    // What a folder holds, and the folder itself.
    const folder = pattern.slice(0, -2);
    return (resource) => resource === folder || fits(resource);
  }
  const rest = pattern.slice('own:'.length);
  const open = rest.endsWith('*');
  const [before = '', after = ''] = own.split('{user}');
  return (resource, user) => {
    // A name in which the separator stands could pass for somebody else's.
    if (user === '*' || user.includes(after[0] ?? '')) return false;
    const wanted = `${before}${user}${after}${open ? rest.slice(0, -1) : rest}`;
    if (open && wanted.endsWith('/') && resource === wanted.slice(0, -1)) return true;
    return open ? resource.startsWith(wanted) : resource === wanted;
  };
}

function remembered<V>(look: (name: string) => V): (name: string) => V {
  const known = new Map<string, V>();
  return (name) => {
    const before = known.get(name);
    if (before !== undefined || known.has(name)) return before as V;
    if (known.size >= REMEMBERED) known.clear();
    const found = look(name);
    known.set(name, found);
    return found;
  };
}
