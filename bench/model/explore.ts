import { fairCycle } from './fair-cycle.ts';

/**
 * Explores every state that a model can reach, breadth first, so that traces are shortest. Finds transitions that break
 * a rule, states from which nothing leads on although the goal is not reached, and weakly fair cycles that never reach
 * it: loops in which each step that could always be taken is taken, and still nothing comes of it.
 */

export interface Step<S> {
  label: string;
  /** Bit (0 to 30) of a step that must happen if it stays possible; -1 for what may never happen, such as a fault. */
  fair: number;
  state: S;
}

export interface Model<S> {
  initial: S;
  successors(state: S): Step<S>[];
  /** States with equal keys are one state. */
  key(state: S): string;
  goal(state: S): boolean;
  /** What the step into this state broke; such a state is not explored further. */
  broken(state: S): string | null;
}

export interface Finding {
  /** Stable name of what is wrong: the text of `broken`, `stuck` or `livelock`. */
  what: string;
  /** Shortest way there. */
  trace: string[];
}

export interface Report {
  states: number;
  transitions: number;
  findings: Finding[];
  /** Not every state was visited, and no livelock looked for. */
  truncated: boolean;
}

/** The reachable graph; edges are pairs of target state and fairness bit. */
export interface Graph {
  edges: number[][];
  /** Fairness bits that are possible, by state. */
  enabled: number[];
  goal: boolean[];
}

export interface ExploreOptions {
  /** Most states to visit; default 6 million. */
  limit?: number;
  /** Ends with the first broken or stuck state; a livelock is still looked for when there is none. Default false. */
  firstOnly?: boolean;
}

export function explore<S>(model: Model<S>, options: ExploreOptions = {}): Report {
  const { limit = 6_000_000, firstOnly = false } = options;
  const ids = new Map<string, number>();
  const origin: { from: number; label: string }[] = [];
  const graph: Graph = { edges: [], enabled: [], goal: [] };
  const found = new Map<string, Finding>();
  let transitions = 0;
  let next: [number, S][] = [];

  const visit = (state: S, from: number, label: string): number => {
    const key = model.key(state);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = ids.size;
    ids.set(key, id);
    origin.push({ from, label });
    graph.goal.push(model.goal(state));
    next.push([id, state]);
    return id;
  };
  const traceTo = (id: number): string[] => {
    const trace: string[] = [];
    for (let at = id; at > 0; at = origin[at]?.from ?? 0) trace.push(origin[at]?.label ?? '');
    return trace.reverse();
  };

  visit(model.initial, 0, 'start');
  explored: while (next.length > 0 && ids.size <= limit) {
    const layer = next;
    next = [];
    for (const [id, state] of layer) {
      const edges: number[] = [];
      let enabled = 0;
      for (const step of model.successors(state)) {
        transitions++;
        if (step.fair >= 0) enabled |= 1 << step.fair;
        const what = model.broken(step.state);
        if (what === null) edges.push(visit(step.state, id, step.label), step.fair);
        else if (!found.has(what)) found.set(what, { what, trace: [...traceTo(id), step.label] });
      }
      graph.edges[id] = edges;
      graph.enabled[id] = enabled;
      if (enabled === 0 && !graph.goal[id] && !found.has('stuck')) {
        found.set('stuck', { what: 'stuck', trace: traceTo(id) });
      }
      if (firstOnly && found.size > 0) break explored;
    }
  }
  const truncated = next.length > 0 || (firstOnly && found.size > 0);
  const entry = truncated ? null : fairCycle(graph);
  if (entry !== null) found.set('livelock', { what: 'livelock', trace: traceTo(entry) });
  return { states: ids.size, transitions, findings: [...found.values()], truncated };
}
