import { scopeOfTokens, tokensOfScope } from './switch-scope.ts';
import { decodeToken, encodeToken } from './tokens.ts';

/**
 * The subject grammar: every subject that Proctor publishes or listens on is built and read here.
 * Names are encoded (`tokens.ts`); run and call ids are tokens as they stand.
 */

const PREFIX = /^[A-Za-z0-9_-]{1,32}$/;

/** Lanes that runs of one class are spread over by user. */
export const LANES = 16;

export interface TaskAddress {
  agent: string;
  user: string;
}

export interface InboxAddress {
  run: string;
  kind: string;
  id: string;
}

export class Subjects {
  readonly prefix: string;

  /** @param prefix first token of every subject, 1 to 32 letters, digits, `_` or `-` */
  constructor(prefix = 'proctor') {
    if (!PREFIX.test(prefix)) throw new RangeError(`prefix "${prefix}": expected 1 to 32 letters, digits, _ or -`);
    this.prefix = prefix;
  }

  /** Stream names: the prefix in upper case, then the given parts. */
  stream(...parts: string[]): string {
    return [this.prefix.toUpperCase(), ...parts].join('_');
  }

  task(agent: string, user?: string): string {
    const base = `${this.prefix}.tasks.${encodeToken(agent)}`;
    return user === undefined ? base : `${base}.${encodeToken(user)}`;
  }

  /** Agent and user of a task subject; null where a token is not one that the encoding writes, or there are too many. */
  parseTask(subject: string): TaskAddress | null {
    const [prefix, door, agentToken, userToken, ...rest] = subject.split('.');
    if (prefix !== this.prefix || door !== 'tasks' || agentToken === undefined || rest.length > 0) return null;
    const agent = decodeToken(agentToken);
    const user = userToken === undefined ? 'default' : decodeToken(userToken);
    return agent === null || user === null ? null : { agent, user };
  }

  key(user: string, hash: string): string {
    return `${this.prefix}.key.${encodeToken(user)}.${hash}`;
  }

  /** A run id begins with its period. */
  journal(run: string, n: number): string {
    return `${this.prefix}.jrn.${run.slice(0, 8)}.${run}.${n}`;
  }

  snapshot(run: string): string {
    return `${this.prefix}.snap.${run.slice(0, 8)}.${run}`;
  }

  /** One activation subject a run: everything in it follows from entry 0, so a second one is refused by the queue. */
  activation(agent: string, priority: string, lane: number, run: string): string {
    return `${this.prefix}.queue.${encodeToken(agent)}.${priority}.${lane}.${run}`;
  }

  /** All activations of one lane of a class. */
  lane(agent: string, priority: string, lane: number): string {
    return `${this.prefix}.queue.${encodeToken(agent)}.${priority}.${lane}.*`;
  }

  inbox(address: InboxAddress): string {
    return `${this.prefix}.in.${address.run}.${address.kind}.${encodeToken(address.id)}`;
  }

  /** Everything in the inbox of a run. */
  inboxOf(run: string): string {
    return `${this.prefix}.in.${run}.>`;
  }

  parseInbox(subject: string): InboxAddress | null {
    const [prefix, door, run, kind, idToken, ...rest] = subject.split('.');
    if (prefix !== this.prefix || door !== 'in' || rest.length > 0) return null;
    if (run === undefined || kind === undefined || idToken === undefined) return null;
    const id = decodeToken(idToken);
    return id === null ? null : { run, kind, id };
  }

  event(agent: string, user: string, run: string): string {
    return `${this.prefix}.evt.${encodeToken(agent)}.${encodeToken(user)}.${run}`;
  }

  /** The events of a run whose agent, or agent and user, are not known. */
  anyEvent(run: string, user?: string): string {
    return `${this.prefix}.evt.*.${user === undefined ? '*' : encodeToken(user)}.${run}`;
  }

  result(agent: string, user: string, run: string): string {
    return `${this.prefix}.res.${encodeToken(agent)}.${encodeToken(user)}.${run}`;
  }

  /** The result of a run whose agent and user are not known. */
  anyResult(run: string): string {
    return `${this.prefix}.res.*.*.${run}`;
  }

  dead(source: 'task' | 'task-rest' | 'inbox', id: string): string {
    return `${this.prefix}.dead.${source}.${encodeToken(id)}`;
  }

  ask(user: string, verb: string): string {
    return `${this.prefix}.ask.${encodeToken(user)}.${verb}`;
  }

  parseAsk(subject: string): { user: string; verb: string } | null {
    const [prefix, door, userToken, verb, ...rest] = subject.split('.');
    if (prefix !== this.prefix || door !== 'ask' || userToken === undefined || verb === undefined) return null;
    const user = decodeToken(userToken);
    return user === null || rest.length > 0 ? null : { user, verb };
  }

  api(verb: string): string {
    return `${this.prefix}.api.${verb}`;
  }

  /** Requests to one node: what it owns, an inbox message offered to it. */
  node(node: string, verb: string): string {
    return `${this.prefix}.node.${encodeToken(node)}.${verb}`;
  }

  /** Where a node tells of an actor that somebody watches. */
  inspection(node: string, kind: string, path: string[]): string {
    return [this.prefix, 'insp', encodeToken(node), kind, ...path.map(encodeToken)].join('.');
  }

  /** An inbox message offered to whichever node owns the run. */
  offer(run: string): string {
    return `${this.prefix}.offer.${run}`;
  }

  /** One version of an agent, write-once. */
  agentVersion(agent: string, version: string): string {
    return `${this.prefix}.agent.${encodeToken(agent)}.def.${encodeToken(version)}`;
  }

  /** The choice of a version that was stored before. */
  agentChoice(agent: string, id: string): string {
    return `${this.prefix}.agent.${encodeToken(agent)}.use.${encodeToken(id)}`;
  }

  /** All that is stored about one agent, or about all. */
  agentLog(agent?: string): string {
    return `${this.prefix}.agent.${agent === undefined ? '*' : encodeToken(agent)}.*.*`;
  }

  /** One version of the policy, write-once; `*` for any. */
  policy(version: number | '*'): string {
    return `${this.prefix}.policy.${version}`;
  }

  /** An open request for an approval; `*` for any group. */
  approvalRequest(group: string, run: string, c: string): string {
    return `${this.prefix}.apr.req.${group}.${run}.${c}`;
  }

  /** What became of a request is told here. */
  approvalNotice(group: string, run: string, c: string): string {
    return `${this.prefix}.apr.note.${group}.${run}.${c}`;
  }

  /** Where nodes tell what is open, for one group or for all. */
  approvalsOpen(group?: string): string {
    return `${this.prefix}.apr.open${group === undefined ? '' : `.${group}`}`;
  }

  /** An approver's word on a call. */
  decision(run: string, c: string, approver: string): string {
    return this.inbox({ run, kind: 'decision', id: `${c}-${approver}` });
  }

  /** What is stored about one approver, or about all. */
  approver(name?: string): string {
    return `${this.prefix}.approver.${name === undefined ? '*' : encodeToken(name)}`;
  }

  /** What is kept, write-once, of something that was refused. */
  audit(kind: 'decision', id: string): string {
    return `${this.prefix}.audit.${kind}.${id === '*' ? id : encodeToken(id)}`;
  }

  /** An entry of what is queued for people about a run, write-once; `*` for any queue, run or entry. */
  human(queue: string, run: string, n: number | '*'): string {
    return `${this.prefix}.human.${queue}.${run}.${n}`;
  }

  /** Queue and number of such an entry; null where the subject is none. */
  parseHuman(subject: string): { queue: string; n: number } | null {
    const [prefix, door, queue, _run, n, ...rest] = subject.split('.');
    if (prefix !== this.prefix || door !== 'human' || queue === undefined || rest.length > 0) return null;
    return /^\d{1,9}$/.test(n ?? '') ? { queue, n: Number(n) } : null;
  }

  /** The id of the cluster, written once. */
  get clusterId(): string {
    return `${this.prefix}.cluster.id`;
  }

  /** Agent of a stored version or choice; null where the subject is neither. */
  parseAgent(subject: string): { agent: string; kind: 'def' | 'use'; id: string } | null {
    const [prefix, door, agentToken, kind, idToken, ...rest] = subject.split('.');
    if (prefix !== this.prefix || door !== 'agent' || rest.length > 0) return null;
    if (agentToken === undefined || idToken === undefined || (kind !== 'def' && kind !== 'use')) return null;
    const agent = decodeToken(agentToken);
    const id = decodeToken(idToken);
    return agent === null || id === null ? null : { agent, kind, id };
  }

  /** Tells the nodes, all of them, to look again (`agents`, `lanes`), or asks each for its word (`report`). */
  nodes(verb: string): string {
    return `${this.prefix}.nodes.${verb}`;
  }

  /** Orders to kill, pause, drain or revive a scope. Throws a RangeError on a text that is no scope. */
  switchOf(scope: string): string {
    const tokens = tokensOfScope(scope);
    if (tokens === null) throw new RangeError(`not a scope: ${scope.slice(0, 80)}`);
    return [this.prefix, 'switch', ...tokens].join('.');
  }

  /** The scope of an order; null where the subject names none. */
  parseSwitch(subject: string): string | null {
    const [prefix, door, ...tokens] = subject.split('.');
    return prefix === this.prefix && door === 'switch' ? scopeOfTokens(tokens) : null;
  }

  /** What an order has hit, as one incarnation of a node counts it. */
  switchHits(revision: number | '*', counter: string): string {
    return `${this.prefix}.switched.${revision}.${counter}`;
  }

  /** Where a node shows that it reads the switches. */
  presence(node: string): string {
    return `${this.prefix}.present.${node === '*' ? node : encodeToken(node)}`;
  }

  /** An entry of the ledger, write-once: whatever is sent twice is stored once. */
  ledgerEntry(kind: string, id: string): string {
    return `${this.prefix}.ledger.${kind}.${encodeToken(id)}`;
  }

  /** A part of the snapshot behind an entry of the ledger, or `head`, which is written last. */
  ledgerSnapshot(seq: number | '*', part: number | 'head'): string {
    return `${this.prefix}.ledgersnap.${seq}.${part}`;
  }

  clock(node: string): string {
    return `${this.prefix}.clock.${encodeToken(node)}`;
  }

  /** Where nodes keep how far a sweep has come that one of them does for all. */
  sweep(name: string): string {
    return `${this.prefix}.clock.sweep.${name}`;
  }

  toolCall(tool: string): string {
    return `${this.prefix}.tool.${encodeToken(tool)}.call`;
  }

  toolCancel(tool: string, run: string, c: string): string {
    return `${this.prefix}.tool.${encodeToken(tool)}.cancel.${run}.${c}`;
  }

  /** Where one worker gives the parts of a large result that it keeps. */
  toolResult(tool: string, worker: string, id: string): string {
    return `${this.prefix}.tool.${encodeToken(tool)}.result.${worker}.${id}`;
  }

  /** One part of a large result; `sha256` is of the whole. */
  blob(run: string, c: string, sha256: string, part: number): string {
    return `${this.prefix}.blob.${run.slice(0, 8)}.${run}.${c}.${sha256}.${part}`;
  }

  /** Where workers ask the nodes to keep what they began; no stream listens there. */
  idem(tool: string, verb: string): string {
    return `${this.prefix}.idem.${tool === '*' ? tool : encodeToken(tool)}.${verb}`;
  }

  /** What the nodes keep of it. */
  once(toolToken: string, keyHash: string, what: 'begin' | 'done'): string {
    return `${this.prefix}.once.${toolToken}.${keyHash}.${what}`;
  }

  /** Where a worker shows that a call is in work; the address comes with the call. */
  beat(address: string): string {
    return `${this.prefix}.beat.${address}`;
  }

  /** Below this, workers receive answers: the inbox prefix that a worker connects with. Nodes answer workers nowhere else. */
  get workerInbox(): string {
    return `_INBOX_${this.prefix}_worker`;
  }

  /** Below this, consoles receive answers: they must not hear those of nodes. */
  get consoleInbox(): string {
    return `_INBOX_${this.prefix}_console`;
  }
}

/** The parts of a decision's id; null when it has another form. */
export function parseDecisionId(id: string): { c: string; approver: string } | null {
  const match = /^(\d+-\d+)-(.+)$/s.exec(id);
  const [, c, approver] = match ?? [];
  return c === undefined || approver === undefined ? null : { c, approver };
}

/** The lane of a user: FNV-1a over its characters, stable across processes and versions. */
export function laneOf(user: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < user.length; i++) hash = Math.imul(hash ^ user.charCodeAt(i), 0x01000193) >>> 0;
  return hash % LANES;
}
