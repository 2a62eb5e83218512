import { type Decision, NO_USAGE, type Usage } from '../../core/decision.ts';
import { AppError } from '../../core/errors.ts';
import type { Model, ThinkInput, ThinkReply } from '../../ports/model.ts';

/** What the model does when it is asked: a reply, a failure, or either worked out from the input. */
export type ScriptedReply = ThinkReply | AppError | ((input: ThinkInput) => ThinkReply | Promise<ThinkReply>);

/** What was asked, copied and frozen when it was asked; window and tools are there for replies that are functions. */
export type RecordedThink = Readonly<
  Omit<ThinkInput, 'signal' | 'plan' | 'window' | 'tools'> & { plan: { plan: unknown; done: readonly string[] } | null }
>;

export interface ScriptedModel extends Model {
  readonly requests: readonly RecordedThink[];
  /** Throws AppError `unused_replies` when fewer calls came than replies were given. */
  verify(): void;
}

/**
 * A model for tests: answers with the given replies, one a call, in order. A call beyond the last one fails with
 * AppError `unexpected_model_call`.
 */
export function scriptedModel(replies: readonly ScriptedReply[]): ScriptedModel {
  const queue = [...replies];
  const requests: RecordedThink[] = [];
  return {
    requests,
    async think(input) {
      requests.push(record(input));
      const reply = queue.shift();
      if (reply === undefined) {
        throw new AppError(
          'unexpected_model_call',
          `call ${requests.length} (run ${input.run}, step ${input.step}) came after all ${replies.length} scripted replies`,
        );
      }
      if (reply instanceof AppError) throw reply;
      return typeof reply === 'function' ? await reply(input) : reply;
    },
    verify() {
      if (queue.length === 0) return;
      throw new AppError(
        'unused_replies',
        `${queue.length} of ${replies.length} scripted replies were never asked for`,
      );
    },
  };
}

/** A reply that says `decision`, free of charge unless told otherwise. */
export function scripted(decision: Decision, usage: Usage = NO_USAGE): ThinkReply {
  return { decision, usage, model: 'scripted' };
}

function record(input: ThinkInput): RecordedThink {
  const { signal: _signal, window: _window, tools: _tools, plan, ...data } = input;
  const known = plan === null ? null : { plan: plan.plan, done: [...plan.done] };
  return deepFreeze(structuredClone({ ...data, plan: known }));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) deepFreeze(item);
  }
  return value;
}
