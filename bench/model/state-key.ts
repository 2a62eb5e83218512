import { APPROVAL, COPY, current, type Entry, type Memory, type Node, type State, TASK, TIMER } from './ownership.ts';

/** Two states are one when they differ only in absolute entry numbers, ids of messages and incarnations. */
export function keyOf(state: State): string {
  const latest = current(state);
  const ids = [
    ...new Set([...state.activations.map((a) => a.id), ...state.nodes.map((n) => n.activation), latest.parked]),
  ];
  ids.sort((a, b) => a - b);
  const rank = (id: number): string => (id < 0 ? '-' : String(ids.indexOf(id)));
  const entry = (e: Entry): string => `${e.kind}${e.inbox}${rank(e.activation)}`;
  const folded = (m: Memory): string =>
    `${m.decided >= 0}${m.called}${m.once}${m.onceEpoch === m.epoch}${m.inbox}${m.ended}`;
  const node = (n: Node): string => {
    const knows = n.at !== 'idle' && n.at !== 'read';
    let ahead = '';
    if (n.at === 'claim' || n.at === 'run') {
      const next = state.journal[n.pos];
      if (next === undefined) ahead = '=';
      else if (next.writer !== n.writer) ahead = 'fenced';
      else ahead = `own${entry(next)}${state.journal.length - n.pos > 1}`;
    }
    const writing = n.writing === null ? '' : entry(n.writing);
    return `${n.at},${rank(n.activation)},${knows ? folded(n.memory) : ''},${ahead},${n.offered},${n.did},${writing},${n.holds},${n.taker},${n.paused}`;
  };
  const network = state.network
    .filter((write) => write.pos >= state.journal.length)
    .map((write) => {
      const { writer } = write.entry;
      return `${entry(write.entry)}${writer === latest.writer}${state.nodes.map((n) => n.writer === writer)}`;
    });
  const activations = state.activations.map((a) => `${rank(a.id)}${a.ready}${a.carries}${a.subject}`);
  const messages = [APPROVAL, TIMER, TASK, COPY].map((message) => state.messages[message]);
  return [
    activations.join('/'),
    state.journal.length === 0,
    folded(latest),
    latest.parkedLast,
    rank(latest.parked),
    messages.join(),
    state.result,
    state.sent,
    state.keyedBy < 0,
    state.faults,
    network.join('/'),
    ...state.nodes.map(node),
  ].join('|');
}
