import { LRUCache } from 'lru-cache';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import { BUILT_IN, Policy, type PolicyInput, type PolicyLines, PolicyRecord } from '../core/policy.ts';
import type { Quotas } from '../core/quotas.ts';
import { type StreamSpec, streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import { type CompiledPolicy, compilePolicy } from '../policy/permissions/compile.ts';
import type { Bus, StoredMessage } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { Rereading } from './rereading.ts';

/**
 * The policy of the cluster, as one stream tells it: version n is written once, and the newest is in force for runs that
 * begin. A run keeps the version that it began with, unless a later one was applied to those at work as well. Every node
 * is told by a hint, and looks in between, as hints get lost. What cannot be read allows nothing.
 */

/** How often a node looks for what it was not told, milliseconds: with the time of a look below a second. */
const REREAD_MS = 800;
/** Versions that are kept ready. */
const KEPT = 16;
/** Times that a version is written under the next number when somebody else was faster. */
const TRIES = 5;

export interface PoliciesOptions {
  bus: Bus;
  subjects: Subjects;
  log: Log;
  /** Put into force at the start where no policy was ever applied. */
  first?: FirstPolicy | undefined;
}

/** The policy that a cluster begins with: a decision like every other one, stored with who made it and why. */
export interface FirstPolicy {
  policy: PolicyInput;
  /** As it was written, and the lines in which its rules stand; default: as JSON, without lines. */
  text?: string;
  lines?: PolicyLines;
  /** At most 128 characters. */
  by: string;
  why: string;
  /** Where it comes from; default none. */
  source?: string;
}

/** What is applied, and by whose word. */
export interface PolicyOrder extends Pick<PolicyRecord, 'policy' | 'lines' | 'text' | 'by' | 'why' | 'source'> {
  /** Also for runs that began under a version before it. */
  running: boolean;
  /** The version that whoever wrote it knew; another one in force is a conflict. */
  expect?: number | undefined;
}

/** Version 0: none was ever applied. */
export interface PolicyInForce {
  version: number;
  source: string;
  first: boolean;
}

/** A stored version; `at` in epoch milliseconds, null for the one that is built in. */
export interface StoredPolicy {
  record: PolicyRecord;
  at: number | null;
}

interface Ready extends StoredPolicy {
  compiled: CompiledPolicy;
}

const READY_BUILT_IN: Ready = { record: BUILT_IN, at: null, compiled: compilePolicy(BUILT_IN) };

export class Policies {
  private readonly options: PoliciesOptions;
  private readonly stream: StreamSpec;
  private readonly ready = new LRUCache<number, Ready>({ max: KEPT });
  private newest: Ready = READY_BUILT_IN;
  /** The version that was put into force at the start; -1: none. */
  private putByMe = -1;
  /** Sequence of the last message that was read. */
  private seen = 0;
  private readonly rereading: Rereading;

  constructor(options: PoliciesOptions) {
    this.options = options;
    this.stream = streamsOf(options.subjects).policy;
    this.rereading = new Rereading({
      bus: options.bus,
      hint: options.subjects.nodes('policy'),
      everyMs: REREAD_MS,
      read: () => this.read(),
      failed: (thrown) => this.notRead(thrown),
    });
  }

  /** Reads what is in force, and follows it; again after a stop. @param clock runs its timers */
  async start(clock: Clock): Promise<void> {
    await this.rereading.start(clock, () => this.begin());
  }

  async stop(): Promise<void> {
    await this.rereading.stop();
  }

  /** What is in force for runs that begin now, and whether it was put there as this node's first policy. */
  get inForce(): PolicyInForce {
    const { version, source } = this.newest.record;
    return { version, source, first: version === this.putByMe };
  }

  /** The version that runs begin with now, as far as this node has heard. */
  get version(): number {
    return this.newest.record.version;
  }

  /** What all runs share by the newest version, also those that began before it; undefined: it says nothing of it. */
  get quotas(): Quotas | undefined {
    return this.newest.record.policy.quotas;
  }

  /** What a run is judged by that began under a version; absent: the built-in one. */
  async over(began = 0): Promise<CompiledPolicy> {
    const version = Math.max(began, this.newest.record.at_least);
    if (version === this.newest.record.version) return this.newest.compiled;
    return (await this.find(version)).compiled;
  }

  /** One version, or the newest. Throws AppError `unknown_version`. */
  async get(version?: number): Promise<StoredPolicy> {
    await this.refresh();
    if (version === undefined || version === this.version) return this.newest;
    if (version < 0 || version > this.version) {
      const text = `there is no version ${version} of the policy; the newest is ${this.version}`;
      throw new AppError('unknown_version', text, { field: 'version' });
    }
    return this.find(version);
  }

  /**
   * Stores the next version and puts it into force; the same text again changes nothing. Throws AppError
   * `policy_changed` when another version came in between.
   */
  async apply(order: PolicyOrder): Promise<{ version: number; stored: boolean }> {
    const { bus, subjects, log } = this.options;
    const { running, expect, ...content } = order;
    for (let tries = 1; ; tries++) {
      await this.refresh();
      const { record } = this.newest;
      if (expect !== undefined && expect !== record.version) {
        const text = `version ${record.version} is in force, by ${record.by}, and not ${expect}: look at what it changed, then apply yours again`;
        throw new AppError('policy_changed', text, { field: 'expect' });
      }
      const isForced = !running || record.at_least === record.version;
      if (record.text === order.text && isForced) return { version: record.version, stored: false };
      const version = record.version + 1;
      const next: PolicyRecord = { v: 1, version, at_least: running ? version : record.at_least, ...content };
      try {
        await bus.publish(subjects.policy(version), JSON.stringify(next));
      } catch (thrown) {
        if (toAppError(thrown).code !== 'taken' || tries >= TRIES) throw thrown;
        continue;
      }
      bus.emit(subjects.nodes('policy'), '');
      await this.refresh();
      log.warn('policy.applied', { version, running, by: order.by, why: order.why, source: order.source });
      return { version, stored: true };
    }
  }

  private async begin(): Promise<void> {
    const { first, log } = this.options;
    await this.refresh();
    if (this.version === 0 && first !== undefined) await this.putFirst(first);
    if (this.version > 0) return;
    const consequence = 'every agent is read_only: calls of tools that do not only read are refused';
    const todo = 'proctor policy apply FILE, or of one agent: proctor policy promote AGENT LEVEL --why TEXT';
    log.warn('policy.none', { consequence, todo });
  }

  private async putFirst({ policy, text = JSON.stringify(policy), lines = {}, source = '', by, why }: FirstPolicy) {
    try {
      // Also for runs at work: that no policy was in force was nobody's decision.
      const order = { policy: Policy.parse(policy), text, lines, source, by, why, running: true, expect: 0 };
      this.putByMe = (await this.apply(order)).version;
    } catch (thrown) {
      // Somebody else was faster: theirs is in force.
      if (toAppError(thrown).code !== 'policy_changed') throw thrown;
    }
  }

  /** Reads what was added since the last time; what was acknowledged before the call is known after it. */
  private refresh(): Promise<void> {
    return this.rereading.refresh();
  }

  private async read(): Promise<void> {
    const { bus, subjects, log } = this.options;
    const head = await bus.last(this.stream.name, subjects.policy('*'), { authoritative: true });
    if ((head?.seq ?? 0) === this.seen) return;
    if (head === null || head.seq < this.seen) {
      const consequence = 'what is known here stays in force until a policy is applied';
      log.error('policy.stream_lost', { known: this.version, consequence });
    }
    this.seen = head?.seq ?? 0;
    if (head === null) return;
    this.newest = this.made(head, Number(head.subject.split('.').at(-1)));
    this.ready.set(this.version, this.newest);
    log.info('policy.in_force', { version: this.version, at_least: this.newest.record.at_least });
  }

  private async find(version: number): Promise<Ready> {
    if (version === 0) return READY_BUILT_IN;
    const known = this.ready.get(version);
    if (known !== undefined) return known;
    const { bus, subjects } = this.options;
    const stored = await bus.last(this.stream.name, subjects.policy(version), { authoritative: true });
    const found = this.made(stored, version);
    if (stored !== null) this.ready.set(version, found);
    return found;
  }

  /** What cannot be read allows nothing: the rules that a newer node understands are not guessed. */
  private made(stored: StoredMessage | null, version: number): Ready {
    const record = stored === null ? 'it is not in the stream' : recordIn(stored.data, version);
    if (typeof record !== 'string') return { record, at: stored?.at ?? null, compiled: compilePolicy(record) };
    const consequence = 'runs under it may call no tool on this node';
    const todo = 'upgrade the node, or apply a policy that it reads with: proctor policy apply FILE --running';
    this.options.log.error('policy.unreadable', { version, message: record.slice(0, 500), consequence, todo });
    const description = `it cannot be read here: ${record.slice(0, 500)}`;
    const nothing: PolicyRecord = {
      ...BUILT_IN,
      version,
      at_least: Math.max(this.newest.record.at_least, stored === null ? 0 : atLeastIn(stored.data)),
      policy: Policy.parse({ description, permissions: [{ id: 'unreadable', tool: '*', do: 'deny' }] }),
      lines: {},
      text: '',
      by: 'unknown',
      source: '',
    };
    return { record: nothing, at: stored?.at ?? null, compiled: compilePolicy(nothing) };
  }

  private notRead(thrown: unknown): void {
    const { code, message } = toAppError(thrown);
    if (code === 'closed') return;
    const consequence = `asked again in ${REREAD_MS} ms; version ${this.version} stays in force here`;
    this.options.log.warn('policy.not_read', { code, message, consequence });
  }
}

/** The record in a message, or what is wrong with it. */
function recordIn(data: string, version: number): PolicyRecord | string {
  try {
    const read = PolicyRecord.safeParse(JSON.parse(data));
    if (!read.success) return describeFaults(read.error, 'record').message;
    return read.data.version === version ? read.data : `it says that it is version ${read.data.version}`;
  } catch (thrown) {
    return toAppError(thrown).message;
  }
}

/** Of a record that cannot be read as a whole: whether runs at work are to be judged by it does not get lost. */
function atLeastIn(data: string): number {
  try {
    const { at_least } = JSON.parse(data) as { at_least?: unknown };
    return typeof at_least === 'number' && Number.isSafeInteger(at_least) ? at_least : 0;
  } catch {
    return 0;
  }
}
