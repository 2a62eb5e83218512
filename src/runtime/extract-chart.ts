import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate';
import type { ChartDefinition, ChartEdge, ChartNode } from '../core/chart-wire.ts';
import { clip } from '../core/errors.ts';

/**
 * A machine as data for drawing. `machine.definition` and `toDirectedGraph` both leave out parts of it, so the state
 * nodes are walked. The transition objects are those that microsteps name, so each can be found again by identity.
 */

export interface Extracted {
  definition: ChartDefinition;
  /** Ids of the edges of a transition, as XState's microsteps name it. */
  edgesOf: ReadonlyMap<unknown, string[]>;
}

export function extract(machine: AnyStateMachine): Extracted {
  const nodes: ChartNode[] = [];
  const edges: ChartEdge[] = [];
  const edgesOf = new Map<unknown, string[]>();
  const visit = (node: AnyStateNode, parent: AnyStateNode | null): void => {
    nodes.push(nodeOf(node, parent));
    const transitions = [...[...node.transitions.values()].flat(), ...(node.always ?? [])] as AnyTransitionDefinition[];
    transitions.forEach((transition, order) => {
      const made = edgesFrom(node, transition, order);
      edges.push(...made);
      edgesOf.set(
        transition,
        made.map(({ id }) => id),
      );
    });
    for (const child of Object.values(node.states) as AnyStateNode[]) visit(child, node);
  };
  visit(machine.root as AnyStateNode, null);
  return { definition: { name: word(machine.id), nodes, edges }, edgesOf };
}

/** Names in one list, and characters of a word, that a chart tells: people wrote them, and nobody reads more. */
const MOST = 64;
const word = (text: string) => clip(text, 256);

function idOf(node: { path: string[] }): string {
  return node.path.join('.');
}

function nodeOf(node: AnyStateNode, parent: AnyStateNode | null): ChartNode {
  const initial = node.type === 'compound' ? (node.initial.target as AnyStateNode[] | undefined)?.[0] : undefined;
  return {
    id: idOf(node),
    name: word(node.key),
    kind: node.type,
    parent: parent === null ? null : idOf(parent),
    description: typeof node.description === 'string' ? clip(node.description, 1_024) : '',
    initial: initial === undefined ? null : idOf(initial),
    deep: node.history === 'deep',
    entry: namesOf(node.entry, 'raise'),
    exit: namesOf(node.exit, 'cancel'),
    invokes: node.invoke.slice(0, MOST).map(({ src, id }) => word(typeof src === 'string' ? src : id)),
  };
}

function edgesFrom(node: AnyStateNode, transition: AnyTransitionDefinition, order: number): ChartEdge[] {
  const { kind, event } = eventOf(String(transition.eventType), node);
  const targets = (transition.target as unknown as AnyStateNode[] | undefined)?.map(idOf) ?? [null];
  return targets.map((target, index) => ({
    id: `${idOf(node)}/${order}${index === 0 ? '' : `.${index}`}`,
    source: idOf(node),
    target,
    kind,
    event: word(event),
    guard: guardName(transition.guard),
    choice: word(choiceOf(node, transition)),
    actions: namesOf(transition.actions),
    order,
  }));
}

/** Names that XState makes up for its own events, as words. */
function eventOf(type: string, node: AnyStateNode): Pick<ChartEdge, 'kind' | 'event'> {
  const after = /^xstate\.after\.(.+?)\./.exec(type)?.[1];
  if (after !== undefined) return { kind: 'after', event: `after ${delayText(after)}` };
  const actor = /^xstate\.(done|error)\.actor\.(.+)$/.exec(type);
  if (actor !== null) {
    const invoke = node.invoke.find(({ id }) => id === actor[2]);
    const source = typeof invoke?.src === 'string' ? invoke.src : actor[2];
    return { kind: actor[1] as 'done' | 'error', event: `${actor[1]}: ${source}` };
  }
  if (type.startsWith('xstate.done.state.')) return { kind: 'done', event: 'done' };
  if (type === '') return { kind: 'always', event: '' };
  return { kind: 'event', event: type === '*' ? 'anything else' : type };
}

function delayText(delay: string): string {
  const ms = Number(delay);
  if (!Number.isFinite(ms)) return delay;
  return ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`;
}

/** `callsAre(done)`: the name of a guard with what it is asked. */
function guardName(guard: unknown): string | null {
  if (guard === undefined || guard === null) return null;
  if (typeof guard === 'string') return word(guard);
  if (typeof guard === 'function') return guard.name === 'guard' || guard.name === '' ? 'condition' : word(guard.name);
  const { type, params } = guard as { type?: unknown; params?: unknown };
  const name = typeof type === 'string' ? type : 'condition';
  return word(`${name} ${askedWith(params)}`.trimEnd());
}

/** What a guard is given, as words. */
function askedWith(params: unknown): string {
  if (typeof params === 'object' && params !== null) return Object.values(params).map(String).join(', ');
  return typeof params === 'string' || typeof params === 'number' ? String(params) : '';
}

/** Where one event can lead to several places, what its guard is asked says which. */
function choiceOf(node: AnyStateNode, { eventType, guard }: AnyTransitionDefinition): string {
  const others = node.transitions.get(eventType as string) ?? [];
  const places = new Set(others.map(({ target }) => (target as AnyStateNode[] | undefined)?.map(idOf).join() ?? ''));
  if (places.size < 2 || guard === undefined) return '';
  const { params } = guard as { params?: unknown };
  const asked = askedWith(params);
  return ` · ${asked === '' ? guardName(guard) : asked}`;
}

/** Actions by name; `after` brings a `raise` and a `cancel` of its own, which say nothing. */
function namesOf(actions: readonly unknown[], own?: string): string[] {
  return actions.slice(0, MOST).flatMap((action) => {
    const type = typeof action === 'function' ? action.name : typeof action === 'string' ? action : typeOf(action);
    const name = type.replace(/^xstate\./, '');
    return name === own || name === '' ? [] : [word(name)];
  });
}

function typeOf(action: unknown): string {
  const { type } = action as { type?: unknown };
  return typeof type === 'string' ? type : '';
}
