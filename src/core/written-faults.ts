import type { z } from 'zod';
import { likely } from './closest.ts';
import { clip } from './errors.ts';

/** What is wrong with something that a person wrote, such as an agent or a policy: all of it at once, in plain words. */

export interface WrittenFault {
  path: PropertyKey[];
  /** `limits.steps: expected ...`; what the path is and what was expected there. */
  text: string;
}

/** Most faults that are told at once. */
const TOLD = 50;

/**
 * @param whole what the thing itself is called
 * @param knownKeys the fields that are known at a path, for those that are not
 */
export function writtenFaults(
  issues: readonly z.core.$ZodIssue[],
  whole: string,
  knownKeys: (path: PropertyKey[]) => string[],
): WrittenFault[] {
  const faultsOf = (issue: z.core.$ZodIssue): WrittenFault[] => {
    if (issue.code !== 'unrecognized_keys')
      return [{ path: issue.path, text: `${shown(issue.path, whole)}: ${worded(issue)}` }];
    const known = knownKeys(issue.path);
    return issue.keys.map((key) => {
      const meant = likely(key, known);
      const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean "${meant}"?`;
      const path = [...issue.path, key];
      return { path, text: `${shown(path, whole)}: unknown field; ${hint}` };
    });
  };
  return issues.flatMap(faultsOf).slice(0, TOLD);
}

function worded(issue: z.core.$ZodIssue): string {
  const missing = issue.code === 'invalid_type' && /received undefined$/.test(issue.message);
  const message = issue.message.replace(/^Invalid input: /, '').replace(/^Too (?:big|small): /, '');
  return missing ? `${message.replace(/, received undefined$/, '')}, but it is missing` : message;
}

function shown(path: PropertyKey[], whole: string): string {
  return path.length === 0 ? whole : clip(path.map(String).join('.'), 256);
}
