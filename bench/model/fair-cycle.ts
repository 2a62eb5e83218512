import type { Graph } from './explore.ts';

/**
 * A strongly connected part of the graph, outside the goal, in which a weakly fair run can stay for ever: every
 * fairness bit that is possible in all of its states is taken by one of its edges. Tarjan's algorithm, without
 * recursion.
 *
 * @returns the state of such a part that is nearest to the start, or null
 */
export function fairCycle({ edges, enabled, goal }: Graph): number | null {
  const index = new Int32Array(goal.length).fill(-1);
  const low = new Int32Array(goal.length);
  const part = new Int32Array(goal.length).fill(-1);
  const stack: number[] = [];
  let clock = 0;
  let parts = 0;
  let found: number | null = null;

  const edgesOf = (state: number): number[] => edges[state] ?? [];
  const lower = (state: number, to: number): void => {
    if (to < (low[state] ?? 0)) low[state] = to;
  };

  /** Bits that are possible in every member, and taken within. */
  const isFair = (members: number[], id: number): boolean => {
    let always = -1;
    let taken = 0;
    let inner = false;
    for (const state of members) {
      always &= enabled[state] ?? 0;
      const out = edgesOf(state);
      for (let k = 0; k < out.length; k += 2) {
        if (part[out[k] ?? 0] !== id) continue;
        inner = true;
        const bit = out[k + 1] ?? -1;
        if (bit >= 0) taken |= 1 << bit;
      }
    }
    return inner && (always & ~taken) === 0;
  };

  const close = (root: number): void => {
    const members: number[] = [];
    for (let state = -1; state !== root; ) {
      state = stack.pop() ?? root;
      part[state] = parts;
      members.push(state);
    }
    if (isFair(members, parts)) {
      const first = members.reduce((a, b) => Math.min(a, b));
      if (found === null || first < found) found = first;
    }
    parts++;
  };

  const enter = (state: number, work: [number, number][]): void => {
    index[state] = low[state] = clock++;
    stack.push(state);
    work.push([state, 0]);
  };

  for (let root = 0; root < goal.length; root++) {
    if (goal[root] || index[root] !== -1) continue;
    const work: [number, number][] = [];
    enter(root, work);
    for (let top = work.at(-1); top !== undefined; top = work.at(-1)) {
      const [state, at] = top;
      const to = edgesOf(state)[at];
      if (to !== undefined) {
        top[1] += 2;
        if (goal[to]) continue;
        if (index[to] === -1) enter(to, work);
        else if (part[to] === -1) lower(state, index[to] ?? 0);
      } else {
        work.pop();
        const below = work.at(-1);
        if (below !== undefined) lower(below[0], low[state] ?? 0);
        if (low[state] === index[state]) close(state);
      }
    }
  }
  return found;
}
