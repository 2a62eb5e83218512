import { isMap, isSeq, parseDocument } from 'yaml';
import { AppError } from '../../core/errors.ts';
import type { AutonomyLevel } from '../../core/policy.ts';

/**
 * The text of a policy in which the agent has the level; comments and all other rules stay. The first rule that fits
 * decides: one of this name alone that comes first is changed, else a rule is put before all others. Throws AppError
 * `invalid_policy` for a text that is no policy.
 */
export function withLevel(text: string, agent: string, level: AutonomyLevel): string {
  const document = parseDocument(text, { schema: 'core', stringKeys: true });
  if (document.errors.length > 0 || !isMap(document.contents)) {
    throw new AppError(
      'invalid_policy',
      'the policy in force is not written in YAML that can be changed: apply a file',
    );
  }
  const rules = document.get('autonomy');
  const rule = document.createNode({ agent, level });
  rule.flow = true;
  if (!isSeq(rules)) {
    document.set('autonomy', document.createNode([rule]));
    return document.toString({ lineWidth: 0 });
  }
  const [first] = rules.items;
  if (isMap(first) && first.get('agent') === agent) first.set('level', level);
  else {
    const rest = rules.items.filter((one) => !isMap(one) || one.get('agent') !== agent);
    rules.items = [rule, ...rest];
  }
  return document.toString({ lineWidth: 0 });
}
