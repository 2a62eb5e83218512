import { describeFaults, type ErrorInfo, toAppError } from '../core/errors.ts';
import { runIdOfKey, runIdOfMessage } from '../core/ids.ts';
import { exceededLimits } from '../core/limits.ts';
import type { StatusEvent } from '../core/status.ts';
import { scopesOfRun } from '../core/switch-scope.ts';
import { MAX_TASK_BYTES, Name, Task } from '../core/task.ts';
import { decodeToken, encodeToken } from '../core/tokens.ts';
import { formatTraceparent, parseTraceparent, TRACEPARENT_HEADER } from '../core/traceparent.ts';
import type { Delivery, StoredMessage } from '../ports/bus.ts';
import { Admission } from './admission.ts';
import { unknownAgent } from './agent-doors.ts';
import { buriedFor, bury } from './dead-letters.ts';
import type { NodeDeps } from './deps.ts';
import { isKeyTaken, runOfKey } from './run-keys.ts';
import { publishActivation, writeEntryZero } from './starting.ts';
import { killed } from './switched.ts';
import { statusOf } from './views.ts';

/**
 * The door for tasks: each message of the task stream becomes a run or a dead letter, and only then leaves the stream.
 * Every step is write-once under a name that follows from the message, so a message worked on twice makes one run.
 */

/** How soon a task is looked at again that came while this node may not act, milliseconds. */
const FROZEN_MS = 1_000;

export class Intake {
  private readonly deps: NodeDeps;
  private readonly admission: Admission;

  constructor(deps: NodeDeps) {
    this.deps = deps;
    this.admission = new Admission(deps);
  }

  /** Never rejects: a task that could not be worked on now comes again. */
  async take(delivery: Delivery): Promise<void> {
    try {
      this.deps.faults.hit('intake.taken');
      if (this.deps.switches.frozen) return delivery.nak(FROZEN_MS);
      await this.admit(delivery);
      delivery.ack();
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code === 'closed') return;
      this.deps.log.error('task.failed', {
        subject: delivery.subject.slice(0, 300),
        code: error.code,
        message: error.message,
      });
      delivery.nak(1_000);
    }
  }

  private async admit(message: Delivery): Promise<void> {
    const { switches } = this.deps;
    const own = runIdOfMessage(message.at, streamTag(message.created), message.seq);
    const buried = message.deliveries > 1 ? await buriedFor(this.deps, 'task', own) : null;
    if (buried !== null) return this.reject(message, own, buried);
    const read = await this.read(message);
    if ('error' in read) return this.reject(message, own, read.error);
    const { task, agent, user } = read;
    const scopes = scopesOfRun({ run: own, agent: agent.name, version: agent.version, user, above: [] });
    const verdict = switches.over(scopes, message.at);
    if (verdict?.mode === 'kill') {
      switches.hit(verdict.scope, 'tasks');
      return this.reject(message, own, killed('the task', verdict).toInfo());
    }
    const full = await this.admission.refusal(agent.name, user);
    if (full !== null && !(await this.isKnown(message, own, user, task))) return this.reject(message, own, full);
    const run = task.key === undefined ? own : await this.runOf(message, user, task.key);
    const { version: policy } = this.deps.policies;
    const birth = {
      run,
      agent,
      user,
      task,
      policy,
      ancestors: [],
      traceparent: traceparentOf(message),
      at: message.at,
    };
    let fresh: boolean;
    try {
      fresh = await writeEntryZero(this.deps, birth);
    } catch (thrown) {
      const error = toAppError(thrown);
      // Numbers like 1e20 are longer when they are written out.
      if (error.code !== 'too_large') throw thrown;
      return this.reject(message, own, { ...error.toInfo(), code: 'task_too_large', field: 'body' });
    }
    this.deps.faults.hit('intake.entry_written');
    // Told before the activation is there: no owner can have told anything newer. One that comes again may have been
    // activated the first time.
    if (fresh && message.deliveries === 1) {
      const progress = task.plan === undefined ? null : 0;
      const { at, seq } = message;
      const told = { run, at, accepted_at: at, state: 'idle.accepted', progress, can_cancel: true, task_seq: seq };
      this.tell(agent.name, user, told);
    } else await this.tellAgain(message, run);
    await publishActivation(this.deps, birth, { first: fresh });
    this.deps.faults.hit('intake.activated');
    if (fresh) this.deps.telemetry?.metrics?.task({ agent: agent.name, status: 'accepted' });
    this.deps.log.info('task.accepted', {
      run_id: run,
      user_id: user,
      agent: agent.name,
      seq: message.seq,
      repeated: !fresh,
    });
  }

  private async read(message: StoredMessage) {
    const fail = (code: string, text: string, field: string): { error: ErrorInfo } => ({
      error: { code, message: text, retryable: false, field },
    });
    const address = this.deps.subjects.parseTask(message.subject);
    const bytes = message.bytes().byteLength;
    if (address === null) {
      const form = `${this.deps.subjects.prefix}.tasks.<agent>[.<user>]`;
      return fail(
        'invalid_task',
        `subject: expected ${form}, other characters than letters, digits, _ and - written as =XX`,
        'subject',
      );
    }
    const user = Name.safeParse(address.user);
    if (!user.success) return fail('invalid_task', `user: ${describeFaults(user.error, 'user').message}`, 'user');
    const agent = await this.deps.agents.find(address.agent);
    if (agent === undefined) return { error: unknownAgent(this.deps, address.agent, 'agent').toInfo() };
    if (bytes > MAX_TASK_BYTES) {
      return fail('task_too_large', `body: ${bytes} bytes; at most ${MAX_TASK_BYTES} are taken inline`, 'body');
    }
    let value: unknown;
    try {
      value = JSON.parse(message.data);
    } catch (cause) {
      return fail('invalid_task', `body: expected JSON (${toAppError(cause).message.slice(0, 200)})`, 'body');
    }
    const task = parseTask(value);
    if ('error' in task) return task;
    if (task.data.user !== undefined && task.data.user !== address.user) {
      return fail(
        'invalid_task',
        `user: the subject says "${address.user}" and the body says "${task.data.user}"`,
        'user',
      );
    }
    const over = exceededLimits(agent.limits, task.data.limits ?? {})[0];
    if (over !== undefined) {
      const text = `limits.${over}: expected at most ${agent.limits[over]}, which agent ${agent.name} allows`;
      return fail('invalid_task', text, `limits.${over}`);
    }
    return { task: task.data, agent, user: address.user };
  }

  /** Whether the task was taken in before: then its run is there, or its key stands for it, and there is nothing to refuse. */
  private async isKnown(message: Delivery, own: string, user: string, task: Task): Promise<boolean> {
    if (task.key !== undefined) return isKeyTaken(this.deps, user, this.deps.ids.hash(user, task.key));
    return message.deliveries > 1 && (await this.deps.journal.exists(own));
  }

  private runOf(message: StoredMessage, user: string, key: string): Promise<string> {
    const hash = this.deps.ids.hash(user, key);
    return runOfKey(this.deps, user, hash, runIdOfKey(message.at, hash));
  }

  private async reject(message: Delivery, run: string, error: ErrorInfo): Promise<void> {
    await bury(this.deps, 'task', run, message, error);
    const [, , agent = '', user = 'default'] = message.subject.split('.');
    this.tell(nameOf(agent), nameOf(user), {
      run,
      at: message.at,
      state: 'rejected',
      progress: null,
      can_cancel: false,
      task_seq: message.seq,
      code: 'invalid_task',
      outcome: 'failure',
      error,
    });
    // Whatever name stood in the subject: only a defined agent is a label.
    const agentLabel = this.deps.agents.get(nameOf(agent)) === undefined ? 'unknown' : nameOf(agent);
    this.deps.telemetry?.metrics?.task({ agent: agentLabel, status: 'rejected' });
    this.deps.log.warn('task.rejected', { run_id: run, seq: message.seq, code: error.code, message: error.message });
  }

  /** The run was there before this message: its submitter learns how it stands. */
  private async tellAgain(message: StoredMessage, run: string): Promise<void> {
    const fold = await this.deps.journal.load(run);
    if (fold === null) return;
    const status = { ...statusOf(fold), task_seq: message.seq };
    this.deps.bus.emit(this.deps.subjects.event(status.agent, status.user, run), JSON.stringify(status));
    fold.stop();
  }

  private tell(
    agent: string,
    user: string,
    status: Omit<StatusEvent, 'v' | 'agent' | 'user' | 'phase' | 'step'>,
  ): void {
    const { bus, subjects } = this.deps;
    const phase = status.state === 'rejected' ? 'complete' : 'executing';
    const event: StatusEvent = { v: 1, agent, user, phase, step: 0, ...status };
    bus.emit(subjects.event(agent, user, status.run), JSON.stringify(event));
  }
}

function parseTask(value: unknown): { data: Task } | { error: ErrorInfo } {
  const parsed = Task.safeParse(value);
  if (parsed.success) return { data: parsed.data };
  return { error: { code: 'invalid_task', retryable: false, ...describeFaults(parsed.error, 'body') } };
}

/** What the submitter's tracing put on the task; anything that is no trace context is none. */
function traceparentOf(message: StoredMessage): string | undefined {
  const context = parseTraceparent(message.headers[TRACEPARENT_HEADER]);
  return context === null ? undefined : formatTraceparent(context);
}

/** Tells incarnations of the task stream apart: the second in which it was created. */
function streamTag(created: string): string {
  const ms = Date.parse(created);
  return Number.isNaN(ms) ? '0' : Math.floor(ms / 1_000).toString(36);
}

/** A subject token of any client as a name of ours, bounded. */
function nameOf(token: string): string {
  const name = (decodeToken(token) ?? token).slice(0, 64).toWellFormed();
  return name === '' || encodeToken(name) === '' ? 'unknown' : name;
}
