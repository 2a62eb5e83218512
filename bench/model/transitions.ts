import type { Step } from './explore.ts';
import { after, divergence, first, lease, nodeOf, putBack, remove, stop, storeTimer, want } from './moves.ts';
import {
  ACCEPTED,
  APPROVAL,
  append,
  COPY,
  current,
  type Entry,
  type EntryKind,
  type FaultKind,
  fold,
  IDLE,
  type Memory,
  type Node,
  type Scenario,
  type State,
  sameEntry,
  TASK,
  TIMER,
} from './ownership.ts';

/**
 * Everything that can happen next: each node's owner and its taker of messages, the server's leases, the world, and
 * faults as long as the scenario allows some. Steps of one kind share a fairness bit; a fault has none.
 */

const NAMES = ['A', 'B'];
const WAKING = [APPROVAL, TIMER];
const TASKS = [TASK, COPY];

/** Fairness bits: eight a node, then the server's and the world's. */
const PULL = 0;
const READ = 1;
const STEP = 2;
const JOURNAL = 3;
const TAKE: Record<number, number> = { [APPROVAL]: 4, [TIMER]: 5, [TASK]: 6, [COPY]: 6 };
const TAKER = 7;
const LEASE = 16;
const REDELIVERY = 17;
const WORLD = 18;
const NEVER = -1;

type Change = (next: State, self: Node) => void;

export function successors(state: State, scenario: Scenario): Step<State>[] {
  const { rules } = scenario;
  const steps: Step<State>[] = [];
  const journal = current(state);

  const step = (label: string, fair: number, node: number, change: Change): void => {
    const next: State = {
      ...state,
      activations: state.activations.map((activation) => ({ ...activation })),
      messages: { ...state.messages },
      nodes: state.nodes.map((one) => ({ ...one })),
      network: [...state.network],
    };
    change(next, nodeOf(next, node));
    next.broken ??= divergence(next);
    steps.push({ label, fair, state: next });
  };
  const may = (kind: FaultKind): boolean => state.faults > 0 && scenario.kinds.includes(kind);
  const fault = (kind: FaultKind, label: string, node: number, change: Change): void => {
    if (!may(kind)) return;
    step(`! ${label}`, NEVER, node, (next, self) => {
      next.faults--;
      change(next, self);
    });
  };

  state.nodes.forEach((node, i) => {
    const name = NAMES[i] ?? '';
    if (node.paused) {
      step(`${name} goes on`, NEVER, i, (_, self) => {
        self.paused = false;
      });
      return;
    }
    takeActivations(node, i, name);
    own(node, i, name);
    takeMessages(node, i, name);
    if (node.at === 'idle' && node.taker === 'idle') return;
    fault('crash', `${name} crashes`, i, (next) => {
      next.nodes[i] = IDLE;
    });
    if (!state.nodes.some((one) => one.paused)) {
      fault('pause', `${name} pauses`, i, (_, self) => {
        self.paused = true;
      });
    }
  });
  serve();
  return steps;

  /** The consumer of activations. */
  function takeActivations(node: Node, i: number, name: string): void {
    const busy = node.at === 'run' && node.writing === null;
    for (const { id, carries } of state.activations.filter((activation) => activation.ready)) {
      if (node.at === 'idle') {
        step(`${name} is handed activation ${id}`, i * 8 + PULL, i, (next, self) => {
          lease(next, id);
          Object.assign(self, { at: 'read', activation: id, writer: next.nextWriter++, offered: carries });
        });
      } else if (busy && rules.redelivered !== 'leave') {
        step(`${name}, the owner, is handed activation ${id}`, i * 8 + PULL, i, (next, self) => {
          lease(next, id);
          if (rules.redelivered === 'ack') remove(next, id);
          else Object.assign(self, { activation: id, offered: self.offered | (carries & ~self.memory.inbox) });
        });
      }
    }
  }

  /** The owner: reads, claims, works, parks, ends. */
  function own(node: Node, i: number, name: string): void {
    const fair = i * 8 + STEP;
    const simple = (label: string, change: Change): void => step(`${name} ${label}`, fair, i, change);
    const entry = (kind: EntryKind, inbox = 0): Entry => ({
      kind,
      inbox,
      epoch: node.memory.epoch,
      writer: node.writer,
      activation: kind === 'parked' ? node.activation : -1,
    });
    switch (node.at) {
      case 'read':
        step(`${name} reads the journal`, i * 8 + READ, i, (next, self) => {
          if (journal.length === 0) next.broken = 'no-entry-zero';
          Object.assign(self, { memory: journal, pos: journal.length, offered: self.offered & ~journal.inbox });
          if (journal.ended) self.at = rules.result === 'before ack' ? 'store result' : 'ack';
          else self.at = isOver(journal, self.activation) ? 'ack' : 'claim';
        });
        break;
      case 'claim':
        write(node, i, entry('claimed'), name, fair);
        break;
      case 'run':
        work(node, i, name, entry);
        break;
      case 'store timer':
        simple('stores its timer', (next, self) => {
          storeTimer(next);
          self.at = 'ack';
        });
        break;
      case 'store result':
        simple('stores the result', (next, self) => {
          next.result = true;
          self.at = 'ack';
        });
        break;
      case 'late result':
        simple('stores the result', (next, self) => {
          next.result = true;
          stop(self);
        });
        break;
      case 'ack':
        // Takes the message away whoever holds it by now.
        simple(`acks activation ${node.activation}`, (next, self) => {
          remove(next, node.activation);
          if (self.memory.ended && rules.result === 'after ack') self.at = 'late result';
          else stop(self);
        });
        break;
      case 'nak':
        simple(`naks activation ${node.activation}`, (next, self) => {
          for (const activation of next.activations) if (activation.id === node.activation) activation.ready = true;
          stop(self);
        });
        break;
      default:
    }
  }

  /** Whether the rule on parked activations says that this one is done with. */
  function isOver(memory: Memory, activation: number): boolean {
    if (rules.parked === 'any') return memory.parked >= activation;
    return rules.parked === 'tail' && memory.parkedLast && memory.parked === activation;
  }

  function work(node: Node, i: number, name: string, entry: (kind: EntryKind, inbox?: number) => Entry): void {
    const fair = i * 8 + STEP;
    const { writing } = node;
    const pending = node.offered & ~node.memory.inbox;
    if (writing !== null) {
      write(node, i, writing, name, fair);
      if (!rules.identical && (pending & ~writing.inbox) !== 0) {
        step(`${name} adds what waits to the entry that it sends again`, NEVER, i, (_, self) => {
          self.writing = { ...writing, inbox: writing.inbox | self.offered };
        });
      }
      return;
    }
    for (const message of WAKING) {
      if ((pending & message) !== 0) write(node, i, entry('inbox', message), name, i * 8 + JOURNAL);
    }
    const wanted = want(scenario, node);
    if (wanted === 'wait') {
      if (pending === 0) write(node, i, entry('parked'), name, fair);
    } else if ('write' in wanted) {
      write(node, i, entry(wanted.write), name, fair);
    } else {
      step(`${name} makes its ${wanted.call} call`, fair, i, (next, self) => call(next, self, wanted.call));
    }
    fault('handover', `${name} is told to stop`, i, (_, self) => {
      self.writing = entry('handed over');
    });
  }

  function call(next: State, self: Node, kind: 'idempotent' | 'once' | 'timer'): void {
    if (kind === 'timer') {
      self.did |= 4;
      storeTimer(next);
    } else if (kind === 'idempotent') {
      self.did |= 1;
      if (next.keyedBy >= 0 && next.keyedBy !== self.memory.decided) next.broken = 'key-changed';
      next.keyedBy = self.memory.decided;
    } else {
      self.did |= 2;
      // `unknown` is written after the start-by time: by then the worker refuses.
      if (rules.startBy && journal.once === 'unknown') return;
      if (next.sent > 0) next.broken = 'sent-twice';
      else if (journal.once === 'unknown') next.broken = 'sent-after-unknown';
      next.sent++;
    }
  }

  /** An owner's write: stored, refused, or hit by a fault. */
  function write(node: Node, i: number, entry: Entry, name: string, fair: number): void {
    const label = `${name} writes ${entry.kind}@${node.pos}`;
    const stored = state.journal[node.pos];
    if (stored === undefined) {
      step(label, fair, i, (next, self) => {
        append(next, self.pos, entry);
        accept(self, entry, entry.kind);
      });
      if (node.writing !== null) return;
      fault('lost ack', `${label}: stored, the acknowledgement is lost`, i, (next, self) => {
        append(next, self.pos, entry);
        self.writing = entry;
      });
      fault('delay', `${label}: held in the network`, i, (next, self) => {
        next.network.push({ pos: self.pos, entry });
        self.writing = entry;
      });
      return;
    }
    const mine = stored.writer === node.writer && (!rules.identical || sameEntry(stored, entry));
    step(`${label}: refused, ${mine ? 'its own' : "another's"}`, fair, i, (_, self) => {
      if (mine) accept(self, rules.identical ? stored : entry, entry.kind);
      else if (entry.kind === 'claimed' && rules.refusedClaim === 'read again') self.at = 'read';
      else stop(self);
    });
  }

  /** The node after its entry is known to be stored. */
  function accept(self: Node, entry: Entry, kind: EntryKind): void {
    self.memory = fold(self.memory, entry);
    self.pos++;
    self.writing = null;
    self.offered &= ~self.memory.inbox;
    if (kind === 'claimed') Object.assign(self, { at: 'run', did: 0 });
    else if (kind === 'parked') self.at = scenario.timer && rules.timers === 'after parked' ? 'store timer' : 'ack';
    else if (kind === 'handed over') self.at = 'nak';
    else if (kind === 'ended') self.at = rules.result === 'before ack' ? 'store result' : 'ack';
  }

  /** The consumers of the inbox and of tasks. */
  function takeMessages(node: Node, i: number, name: string): void {
    const fair = i * 8 + TAKER;
    const held = node.holds;
    const subject = rules.activation === 'per message' ? held : 0;
    const refused = state.activations.some((one) => one.subject === subject);
    switch (node.taker) {
      case 'idle':
        for (const message of WAKING) if (state.messages[message] === 'queued') takeInbox(message, i, name);
        for (const message of TASKS) {
          if (state.messages[message] !== 'queued') continue;
          step(`${name} takes task ${message}`, i * 8 + (TAKE[message] ?? 0), i, (next, self) => {
            next.messages[message] = 'leased';
            Object.assign(self, { holds: message, taker: first(rules.intake) });
          });
        }
        break;
      case 'accept':
        intake(i, name, fair);
        break;
      case 'offer':
        offer(node, i, name, fair);
        break;
      case 'publish':
        step(`${name} publishes an activation for ${held}`, fair, i, (next, self) => {
          const carries = rules.carry ? held & (APPROVAL | TIMER) : 0;
          if (!refused) next.activations.push({ id: next.nextActivation++, ready: true, carries, subject });
          if (TASKS.includes(held)) self.taker = after(rules.intake, 'publish');
          else if (refused && rules.wake === 'publish, offer') self.taker = 'offer';
          else putBack(next, self);
        });
        break;
      case 'ack':
        step(`${name} acks task ${held}`, fair, i, (next, self) => {
          next.messages[held] = 'gone';
          self.taker = after(rules.intake, 'ack');
          if (self.taker === 'idle') self.holds = 0;
        });
        break;
    }
  }

  /** Acked when the journal holds the message or the run has ended; without a journal it waits, or is dropped. */
  function takeInbox(message: number, i: number, name: string): void {
    if (journal.length === 0 && rules.early !== 'drop') return;
    step(`${name} takes message ${message}`, i * 8 + (TAKE[message] ?? 0), i, (next, self) => {
      if (journal.length === 0 || journal.ended || (journal.inbox & message) !== 0) {
        next.messages[message] = 'gone';
      } else {
        next.messages[message] = 'leased';
        Object.assign(self, { holds: message, taker: rules.wake === 'offer, publish' ? 'offer' : 'publish' });
      }
    });
  }

  /** The write of entry 0: any node's is as good as another's, so refused means done. */
  function intake(i: number, name: string, fair: number): void {
    const onwards = after(rules.intake, 'accept');
    if (state.journal.length > 0) {
      step(`${name} finds entry 0 taken`, fair, i, (_, self) => {
        self.taker = rules.duplicate === 'ack' ? 'ack' : onwards;
      });
      return;
    }
    step(`${name} writes entry 0`, fair, i, (next, self) => {
      append(next, 0, ACCEPTED);
      self.taker = onwards;
      if (onwards === 'idle') self.holds = 0;
    });
    fault('lost ack', `${name} writes entry 0: stored, the acknowledgement is lost`, i, (next) => {
      append(next, 0, ACCEPTED);
    });
    if (state.network.length > 0) return;
    fault('delay', `${name} writes entry 0: held in the network`, i, (next) => {
      next.network.push({ pos: 0, entry: ACCEPTED });
    });
  }

  function offer(node: Node, i: number, name: string, fair: number): void {
    const owners = state.nodes.flatMap((one, k) => (!one.paused && one.at === 'run' ? [k] : []));
    for (const k of owners) {
      step(`${name} offers message ${node.holds} to ${NAMES[k]}`, fair, i, (next, self) => {
        const owner = nodeOf(next, k);
        if ((owner.memory.inbox & node.holds) === 0) owner.offered |= node.holds;
        putBack(next, self);
      });
    }
    const onwards: Change = (next, self) => {
      if (rules.wake === 'offer, publish') self.taker = 'publish';
      else putBack(next, self);
    };
    if (owners.length === 0) step(`${name} finds no owner for message ${node.holds}`, fair, i, onwards);
    else fault('lost offer', `the offer of message ${node.holds} is lost`, i, onwards);
  }

  /** Leases that expire, writes that arrive late, and the world that answers. */
  function serve(): void {
    for (const { id, ready } of state.activations) {
      if (ready) continue;
      const expire: Change = (next) => {
        for (const activation of next.activations) if (activation.id === id) activation.ready = true;
      };
      // A zombie's sign of life counts as well.
      const held = state.nodes.some((node) => !node.paused && node.at !== 'idle' && node.activation === id);
      if (held) fault('spurious', `activation ${id} is handed out early`, 0, expire);
      else step(`the lease of activation ${id} expires`, LEASE, 0, expire);
    }
    for (const message of [...WAKING, ...TASKS]) {
      if (state.messages[message] !== 'leased') continue;
      const again: Change = (next) => {
        next.messages[message] = 'queued';
      };
      if (state.nodes.some((node) => !node.paused && node.holds === message)) {
        fault('spurious', `message ${message} is handed out early`, 0, again);
      } else step(`message ${message} comes again`, REDELIVERY, 0, again);
    }
    if (state.messages[APPROVAL] === 'absent' && (journal.length > 0 || rules.early !== 'not sent')) {
      step('the approval is given', WORLD, 0, (next) => {
        next.messages[APPROVAL] = 'queued';
      });
    }
    state.network.forEach(({ pos, entry }, k) => {
      step(`the held write of ${entry.kind}@${pos} arrives`, NEVER, 0, (next) => {
        next.network.splice(k, 1);
        append(next, pos, entry);
      });
    });
  }
}
