import type { ExplainedCall, ExplainedRule, ExplainedRun } from '../client/explain.ts';
import type { PolicyChange } from '../core/policy-diff.ts';
import { line, preview } from './format.ts';

/** Policies, their changes and their words as people read them. */

const MARKS: Record<PolicyChange['kind'], string> = { added: '+', removed: '-', changed: '~', moved: '>' };

export function changeText({ section, kind, what, before, after }: PolicyChange): string {
  const shown = (value: unknown) => line(JSON.stringify(value) ?? '');
  const head = `${MARKS[kind]} ${section} ${line(what)}`;
  if (kind === 'added') return `${head}: ${shown(after)}`;
  if (kind === 'removed') return `${head}: ${shown(before)}`;
  if (kind === 'moved') return `${head}: from place ${Number(before) + 1} to ${Number(after) + 1}`;
  return `${head}: ${shown(before)} is now ${shown(after)}`;
}

export function ruleText({ gate, says, rule, line: at, text }: ExplainedRule, version: number): string {
  const policy = version === 0 ? 'the built-in policy' : `policy ${version}`;
  const where = at === undefined ? `of ${policy}` : `in line ${at} of ${policy}`;
  return line(`${gate}: rule ${rule} ${where} says ${says}${text === undefined ? '' : `: ${text}`}`);
}

export function explainText({ run, agent, user, policy, calls }: ExplainedRun): string {
  const under = policy === 0 ? 'the built-in policy' : `policy ${policy}`;
  const head = `${run}  agent ${line(agent)} for ${line(user)}, begun under ${under}`;
  if (calls.length === 0) return `${head}\nIt has asked for no call yet.`;
  return [head, ...calls.map(callText)].join('\n');
}

function callText(call: ExplainedCall): string {
  const { c, tool, args, verdict, error, policy, rules, reasons, decided } = call;
  const said = rules.map((rule) => ruleText(rule, policy));
  // Denials of the policy are told by its rules.
  if (error !== undefined && !rules.some(({ says }) => says === 'deny'))
    said.push(line(`gate ${error.code}: ${error.message}`));
  // Those of rules are told above.
  const gates = new Set<string>(rules.map(({ gate }) => gate));
  for (const { rule, text } of reasons) if (!gates.has(rule)) said.push(line(`approval (${rule}): ${text}`));
  for (const { verdict: word, by, why } of decided) said.push(line(`${word} by ${by}${why === '' ? '' : `: ${why}`}`));
  if (call.untrusted) said.push('its result comes from outside: what follows is under the rules about taint');
  return [`${c}  ${line(tool)} ${preview(args, 100)}  ${verdict}`, ...said.map((one) => `    ${one}`)].join('\n');
}
