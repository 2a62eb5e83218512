import type { z } from 'zod';
import { AgentChoice, type AgentDefinition, AgentRecord, sameAgent } from '../core/agent.ts';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import { type StreamSpec, streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus, StoredMessage } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Ids } from '../ports/ids.ts';
import type { Log } from '../ports/telemetry.ts';
import { Rereading } from './rereading.ts';

/**
 * The agents of the whole cluster, as one stream tells them: each version is written once, and what was written last
 * about an agent, a new version or the choice of an older one, says which version is in force. Every node reads that
 * stream from its beginning, then what is added: told by a hint, and by looking every few seconds, as hints get lost.
 */

/** How often a node looks for what it was not told, milliseconds. */
const REREAD_MS = 10_000;

export interface GivenAgent {
  definition: AgentDefinition;
  /** Where it comes from, for whoever reads it later: a file, `built in`. */
  source: string;
}

export interface AgentsOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  ids: Ids;
  log: Log;
  /** Name of this node. */
  node: string;
  /** What this node brings; stored unless it is there already. */
  given: GivenAgent[];
  /** Why this node cannot run the agent, and what to do about it; null when it can. */
  usable: (agent: AgentDefinition) => AppError | null;
}

/** The version in force, and how it came here; `at` in epoch milliseconds. */
export interface CurrentAgent {
  definition: AgentDefinition;
  by: string;
  source: string;
  at: number;
}

export class Agents {
  private readonly options: AgentsOptions;
  private readonly stream: StreamSpec;
  private readonly current = new Map<string, CurrentAgent>();
  private readonly listeners = new Set<() => void>();
  private readonly complained = new Set<string>();
  /** Sequence of the last message that was read. */
  private seen = 0;
  private readonly rereading: Rereading;

  constructor(options: AgentsOptions) {
    this.options = options;
    this.stream = streamsOf(options.subjects).agents;
    this.rereading = new Rereading({
      bus: options.bus,
      hint: options.subjects.nodes('agents'),
      everyMs: REREAD_MS,
      read: () => this.read(),
      failed: (thrown) => this.notRead(thrown),
    });
  }

  /**
   * Stores what was given, reads what is there, and follows it; again after a stop. Throws AppError `version_taken`,
   * `agent_not_usable`. @param clock runs its timers
   */
  async start(clock: Clock): Promise<void> {
    const { log, given } = this.options;
    await this.rereading.start(clock, async () => {
      this.refuseUnusable(given);
      await this.storeGiven();
      await this.refresh();
    });
    for (const { definition } of given) {
      const version = this.get(definition.name)?.version;
      if (version === undefined || version === definition.version) continue;
      const consequence = `new tasks take version ${version}, which was stored later`;
      log.warn('agent.other_version', {
        agent: definition.name,
        given: definition.version,
        current: version,
        consequence,
      });
    }
  }

  async stop(): Promise<void> {
    await this.rereading.stop();
  }

  /** The version in force, as far as this node has heard. */
  get(name: string): AgentDefinition | undefined {
    return this.current.get(name)?.definition;
  }

  /** As `get`; an agent that this node has not heard of is looked for on the bus first. */
  async find(name: string): Promise<AgentDefinition | undefined> {
    if (!this.current.has(name)) await this.refresh();
    return this.get(name);
  }

  /** Agents that are known, by name. */
  all(): CurrentAgent[] {
    return [...this.current.values()].sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1));
  }

  names(): string[] {
    return this.all().map(({ definition }) => definition.name);
  }

  /** Why this node cannot run the agent; null when it can. */
  unusable(agent: AgentDefinition): AppError | null {
    const why = this.options.usable(agent);
    const id = `${agent.name} ${agent.version}`;
    if (why !== null && !this.complained.has(id)) {
      this.complained.add(id);
      const consequence = 'this node takes no runs of it';
      const { code, message } = why;
      this.options.log.warn('agent.not_usable', {
        agent: agent.name,
        version: agent.version,
        code,
        message,
        consequence,
      });
    }
    return why;
  }

  /** Calls back whenever a version came into force. */
  onChange(listener: () => void): Cancel {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Stores a version and puts it into force; true when it was not there before. Throws AppError `version_taken`. */
  async put(definition: AgentDefinition, by: string, source: string): Promise<boolean> {
    const { bus, subjects, ids } = this.options;
    const { name, version } = definition;
    const stored = await this.store({ v: 1, definition, by, source });
    await this.refresh();
    if (!stored && this.get(name)?.version !== version) {
      await bus.publish(subjects.agentChoice(name, ids.random()), JSON.stringify({ v: 1, version, by }));
      await this.refresh();
    }
    bus.emit(subjects.nodes('agents'), '');
    return stored;
  }

  /** Reads what was added since the last time; what was acknowledged before the call is known after it. */
  refresh(): Promise<void> {
    return this.rereading.refresh();
  }

  private async read(): Promise<void> {
    const { bus, subjects } = this.options;
    const head = await bus.last(this.stream.name, subjects.agentLog(), { authoritative: true });
    if (head === null || head.seq === this.seen) return;
    // Less than before: the stream was made anew.
    if (head.seq < this.seen) this.seen = 0;
    for await (const message of bus.scan(this.stream.name, subjects.agentLog(), { fromSequence: this.seen + 1 })) {
      await this.apply(message);
      this.seen = message.seq;
    }
    for (const listener of this.listeners) listener();
  }

  private async apply(message: StoredMessage): Promise<void> {
    const { bus, subjects } = this.options;
    const address = subjects.parseAgent(message.subject);
    if (address === null) return;
    let stored: StoredMessage | null = message;
    if (address.kind === 'use') {
      const choice = this.parsed(AgentChoice, message);
      if (choice === null) return;
      stored = await bus.last(this.stream.name, subjects.agentVersion(address.agent, choice.version), {
        authoritative: true,
      });
    }
    const record = stored === null ? null : this.parsed(AgentRecord, stored);
    if (stored === null || record === null) return;
    const { definition, by, source } = record;
    if (definition.name !== address.agent) return;
    this.current.set(definition.name, { definition, by, source, at: stored.at });
  }

  /** A record that a newer version of Proctor wrote, or somebody else, is passed over: what was in force stays. */
  private parsed<S extends z.ZodType>(schema: S, message: StoredMessage): z.output<S> | null {
    let fault: string;
    try {
      const result = schema.safeParse(JSON.parse(message.data));
      if (result.success) return result.data;
      fault = describeFaults(result.error, 'record').message;
    } catch (thrown) {
      fault = toAppError(thrown).message;
    }
    const consequence = 'it is passed over; the version before it stays in force on this node';
    this.options.log.error('agent.unreadable', { subject: message.subject, message: fault.slice(0, 500), consequence });
    return null;
  }

  private async storeGiven(): Promise<void> {
    const { bus, subjects, node, given } = this.options;
    const refused: AppError[] = [];
    for (const { definition, source } of given) {
      try {
        const stored = await this.store({ v: 1, definition, by: node, source });
        if (stored) bus.emit(subjects.nodes('agents'), '');
      } catch (thrown) {
        const error = toAppError(thrown);
        if (error.code !== 'version_taken') throw error;
        refused.push(error);
      }
    }
    if (refused.length > 0) throw new AppError('version_taken', refused.map((error) => error.message).join('; '));
  }

  /** True when this call stored it; false when the same was there. */
  private async store(record: AgentRecord): Promise<boolean> {
    const { bus, subjects } = this.options;
    const { name, version } = record.definition;
    const subject = subjects.agentVersion(name, version);
    try {
      await bus.publish(subject, JSON.stringify(record));
      return true;
    } catch (thrown) {
      if (toAppError(thrown).code !== 'taken') throw thrown;
    }
    const there = await bus.last(this.stream.name, subject, { authoritative: true });
    if (there === null) {
      throw new AppError('unavailable', `version ${version} of agent ${name} cannot be read`, { retryable: true });
    }
    const known = this.parsed(AgentRecord, there);
    if (known !== null && sameAgent(known.definition, record.definition)) return false;
    throw new AppError(
      'version_taken',
      `agent "${name}" version ${version} is already stored with other content: raise its version`,
      { field: 'version' },
    );
  }

  private refuseUnusable(given: GivenAgent[]): void {
    const reasons = given.flatMap(({ definition, source }) => {
      const why = this.options.usable(definition);
      return why === null ? [] : [`agent "${definition.name}" (${source}): ${why.message}`];
    });
    if (reasons.length > 0) throw new AppError('agent_not_usable', reasons.join('; '));
  }

  private notRead(thrown: unknown): void {
    const { code, message } = toAppError(thrown);
    if (code === 'closed') return;
    const consequence = `asked again in ${REREAD_MS / 1_000} s; the agents that are known stay`;
    this.options.log.warn('agents.not_read', { code, message, consequence });
  }
}
