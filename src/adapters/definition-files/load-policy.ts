import { stat } from 'node:fs/promises';
import { AppError, clip, toAppError } from '../../core/errors.ts';
import { MAX_POLICY_BYTES, type Policy, type PolicyLines } from '../../core/policy.ts';
import { checkPolicy } from '../../core/policy-input.ts';
import { readText, readYaml } from './text-file.ts';
import type { WrittenAgent } from './written-agent.ts';

/** A policy from its file, YAML or JSON, with the line of each rule. */

export interface LoadedPolicy {
  policy: Policy;
  lines: PolicyLines;
  text: string;
  /** Path of the file, as it was reached. */
  file: string;
}

/** Throws AppError `invalid_policy` with all faults, a line each (`file:line: field: what was expected`), and `no_policy`. */
export async function loadPolicy(file: string): Promise<LoadedPolicy> {
  if ((await stat(file).catch(() => null)) === null) throw new AppError('no_policy', `${file}: there is no such file`);
  let text: string;
  try {
    text = await readText(file, MAX_POLICY_BYTES);
  } catch (thrown) {
    throw new AppError('invalid_policy', `${file}: ${toAppError(thrown).message}`);
  }
  const { policy, lines } = policyIn(text, file);
  return { policy, lines, text, file };
}

/** The policy in a text; `file` is what messages call it. */
export function policyIn(text: string, file: string): Pick<LoadedPolicy, 'policy' | 'lines'> {
  const fail = (faults: string[]) => new AppError('invalid_policy', faults.join('\n'));
  let documents: WrittenAgent[];
  try {
    documents = readYaml(text);
  } catch (thrown) {
    const faults = toAppError(thrown).message.split('\n');
    throw fail(faults.map((fault) => `${file}: ${clip(fault, 1_000).replace(/:$/, '')}`));
  }
  const [written, ...more] = documents;
  if (written === undefined) throw fail([`${file}: holds no policy`]);
  if (more.length > 0) throw fail([`${file}: expected one policy, and no list or second document`]);
  const checked = checkPolicy(written.value);
  if ('faults' in checked) {
    throw fail(checked.faults.map(({ path, text: fault }) => `${file}:${written.line(path) ?? 1}: ${fault}`));
  }
  return { policy: checked.policy, lines: linesOf(checked.policy, written) };
}

/** Of each rule, and of what is written down about taint. */
function linesOf({ permissions, autonomy, taint }: Policy, written: WrittenAgent): PolicyLines {
  const paths: PropertyKey[][] = [
    ...permissions.map((_, i) => ['permissions', i]),
    ...autonomy.map((_, i) => ['autonomy', i]),
    ...taint.sources.map((_, i) => ['taint', 'sources', i]),
  ];
  const said = (written.value as { taint?: object }).taint ?? {};
  for (const kind of ['writes', 'egress']) if (Object.hasOwn(said, kind)) paths.push(['taint', kind]);
  return Object.fromEntries(
    paths.flatMap((path) => {
      const line = written.line(path);
      return line === null ? [] : [[path.join('.'), line]];
    }),
  );
}
