import { createActor } from 'xstate';
import type { ChartEventOf } from '../../machines/agent-run/context.ts';
import { agentRunMachine } from '../../machines/agent-run/machine.ts';
import { wanted } from '../../machines/agent-run/wanted.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { type Decision, NO_USAGE } from '../../src/core/decision.ts';
import type { RunEvent } from '../../src/core/events.ts';
import { applyLimits, type LimitOverrides } from '../../src/core/limits.ts';
import { pathOf } from '../../src/core/run-state.ts';
import { Task } from '../../src/core/task.ts';

export const RUN = '20260101-t-1';

type Plain<T> = T extends RunEvent ? Omit<T, 'n' | 'epoch' | 'at'> : never;

/** Folds events one by one, a second apart, and shows where the run stands. */
export class Chart {
  readonly actor = createActor(agentRunMachine).start();
  at = 1_000_000;
  n = -1;
  epoch = -1;

  constructor(agent: Partial<AgentDefinition> = {}, task: Partial<Task> = {}, limits: LimitOverrides = {}) {
    const definition = AgentDefinition.parse({ name: 'a', model: 'scripted', tools: ['*'], ...agent });
    this.send({
      type: 'accepted',
      run: RUN,
      agent: definition,
      user: 'u',
      task: Task.parse({ input: 'do it', ...task }),
      limits: applyLimits(definition.limits, limits),
      ancestors: [],
    });
  }

  send(event: Plain<RunEvent>): this {
    this.n++;
    this.at += 1_000;
    if (event.type === 'claimed') this.epoch = this.n;
    this.actor.send({ ...event, n: this.n, epoch: this.epoch, at: this.at } as ChartEventOf<RunEvent['type']>);
    return this;
  }

  claim(): this {
    return this.send({
      type: 'claimed',
      node: 'node',
      nonce: `x${this.n}`,
      activation: { created: 'c', seq: this.n + 1 },
    });
  }

  decide(
    decision: Decision,
    calls?: Partial<{
      idempotent: boolean;
      approval_until: number;
      refused: { code: string; message: string; retryable: boolean };
    }>[],
  ): this {
    const planned =
      decision.action === 'tool_call'
        ? decision.calls.map((call, i) => ({
            tool: call.tool,
            ...(call.plan_step === undefined ? {} : { plan_step: call.plan_step }),
            idempotent: true,
            timeout_ms: 1_000,
            ...calls?.[i],
          }))
        : undefined;
    return this.send({
      type: 'decided',
      decision,
      ...(planned === undefined ? {} : { calls: planned }),
      usage: NO_USAGE,
      model: 'm',
      ms: 1,
    });
  }

  call(...tools: string[]): this {
    return this.decide({ action: 'tool_call', calls: tools.map((tool) => ({ tool, args: {} })) });
  }

  get path(): string {
    return pathOf(this.actor.getSnapshot().value);
  }

  get context() {
    return this.actor.getSnapshot().context;
  }

  get wants() {
    const snapshot = this.actor.getSnapshot();
    return wanted(snapshot.value, snapshot.context, this.epoch);
  }

  /** Ids of the calls in progress. */
  get calls(): string[] {
    return this.context.calls.map((call) => call.c);
  }
}

export const who = { by: 'op', why: 'because' };
export const fault = (retryable = true) => ({ code: 'tool_error', message: 'it broke', retryable });
