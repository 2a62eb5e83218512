import type { Strategy } from './spec-types.ts';
import type { ChildRecord } from './state.ts';

/**
 * Which children a restart concerns. Children are in start order; they are stopped in the reverse of it and started in
 * it. `records` of a supervisor that restarts children singly need not be given.
 */
export interface RestartPlan {
  readonly stop: readonly ChildRecord[];
  readonly start: readonly ChildRecord[];
}

export function isGroup(strategy: Strategy): boolean {
  return strategy === 'one_for_all' || strategy === 'rest_for_one';
}

/**
 * @param child the one to be restarted
 * @param reviveStopped also start those that were down on request or had ended by themselves, as OTP does
 */
export function planRestart(
  strategy: Strategy,
  records: readonly ChildRecord[],
  child: ChildRecord,
  reviveStopped: boolean,
): RestartPlan {
  if (!isGroup(strategy)) return { stop: [], start: [child] };
  const scope = strategy === 'one_for_all' ? records : records.filter((record) => record.slot >= child.slot);
  return {
    stop: scope.filter((record) => record.slot !== child.slot && record.status === 'running').toReversed(),
    start: scope.filter(
      (record) =>
        record.slot === child.slot || (record.spec.restart !== 'temporary' && (reviveStopped || !record.resting)),
    ),
  };
}
