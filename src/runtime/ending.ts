import { AppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import { parseCallId } from '../core/ids.ts';
import type { RunResult } from '../core/result.ts';
import type { RunCall } from '../core/run-state.ts';
import type { Delivery } from '../ports/bus.ts';
import { withdrawAll } from './approval-requests.ts';
import { childMessageId, childOf, taintFrom, tellToStop } from './delegate.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { queueForPerson, tellAnswer } from './human-log.ts';
import { chargeByJournal } from './left-open.ts';
import type { OwnedRun } from './owned-run.ts';
import { telemetryOf } from './run-telemetry.ts';
import { StepLog } from './step-log.ts';
import type { EntryReader } from './steps.ts';
import { storeStatus } from './store-status.ts';
import { resultOfRun } from './views.ts';

/**
 * What follows the terminal entry, in this order: a person is asked to take over when the run says so, the result is
 * stored, those who wait for it are told, the last status is stored, what its model calls used is settled, and only then is
 * the activation acked. A crash in between does all of it again with the same outcome.
 * @param settled resolves when that is in the ledger; it goes on beside the rest
 */
export async function endRun(owner: OwnedRun, settled: Promise<void>): Promise<boolean> {
  await settle(owner, owner.delivery, settled);
  return true;
}

/** The same for a run whose journal had ended already when this node was handed its activation. */
export async function endAgain(
  deps: NodeDeps,
  fold: RunFold,
  accepted: RunEventOf<'accepted'>,
  delivery: Delivery,
): Promise<void> {
  const { run } = accepted;
  const read = (n: number) => deps.journal.mustHave(run, n);
  const telemetry = telemetryOf(deps, accepted, fold);
  // Its owner died before it had settled what its model calls used.
  const charge = chargeByJournal({ deps, accepted, log: deps.log }, fold);
  const settled = deps.ledger.chargeLeft(run, fold.protocol.epoch + 1, charge, 'the run ended with it open');
  await settle({ deps, fold, accepted, steps: new StepLog(run, deps.journal), read, telemetry }, delivery, settled);
}

type Ended = Pick<OwnedRun, 'deps' | 'fold' | 'accepted' | 'steps' | 'read' | 'telemetry'>;

async function settle(
  { deps, fold, accepted, steps, read, telemetry }: Ended,
  delivery: Delivery,
  settled: Promise<void> | null,
): Promise<void> {
  const { run, user, agent } = accepted;
  const result = await resultOfRun(fold, agent, await steps.forResult(fold.context), read, deps.journal);
  if (fold.path === 'completed.answered') {
    deps.answers.keep(accepted, { answer: result.answer, run, at: result.ended_at });
  }
  await queueForPerson(deps, accepted, result);
  await once(deps, deps.subjects.result(agent.name, user, run), JSON.stringify(result));
  deps.costs.note(result);
  deps.faults.hit('end.result_stored');
  await tellOthers({ deps, fold, accepted, read }, result);
  await withdrawAll({ deps, run, fold });
  deps.faults.hit('end.parent_told');
  await storeStatus(deps, accepted, fold, await steps.take());
  // A person may have been done before this node came to it: that must not be the status before.
  if (result.code === 'queued_for_human') await tellAnswer(deps, accepted, fold);
  deps.faults.hit('end.event_stored');
  telemetry?.ended(fold);
  await settled;
  delivery.ack();
  deps.faults.hit('end.acked');
  deps.log.info('agent.complete', {
    run_id: run,
    user_id: user,
    agent: agent.name,
    ...(telemetry?.traceId === undefined ? {} : { trace_id: telemetry.traceId }),
    code: result.code,
    outcome: result.outcome,
    steps: result.steps,
    tool_calls: result.tool_calls,
    tokens_in: result.input_tokens,
    tokens_out: result.output_tokens,
    cost_usd: result.cost_usd,
    duration_ms: result.duration_ms,
  });
}

/** The parent gets the answer through its inbox; children that still work are cancelled. */
async function tellOthers(
  { deps, fold, accepted, read }: Omit<Ended, 'steps' | 'telemetry'>,
  result: RunResult,
): Promise<void> {
  const { parent, run } = accepted;
  if (parent !== undefined) {
    const error =
      result.error === null
        ? {}
        : { error: { code: result.error.code, message: result.error.reason, retryable: false } };
    const usage = { input_tokens: result.input_tokens, output_tokens: result.output_tokens, cost_usd: result.cost_usd };
    const body = {
      v: 1,
      c: parent.c,
      run,
      outcome: result.outcome,
      answer: result.answer ?? result.partial,
      ...error,
      usage,
      ...(parent.attempt === undefined ? {} : { attempt: parent.attempt }),
    };
    const id = childMessageId(parent);
    const taint = taintFrom(fold.context);
    const told = JSON.stringify(taint === undefined ? body : { ...body, taint });
    await once(deps, deps.subjects.inbox({ run: parent.run, kind: 'child', id }), told);
  }
  for (const call of fold.context.calls) {
    const child = await workingChild(deps, run, call, read);
    if (child !== null) await tellToStop(deps, child, run, 'the run that delegated this one has ended');
  }
}

/** One that was started before the journal could say so counts as well; one that is started later ends by itself. */
async function workingChild(deps: NodeDeps, run: string, call: RunCall, read: EntryReader): Promise<string | null> {
  if (call.status !== 'child' && call.status !== 'child_ready' && call.status !== 'stopping') return null;
  if (call.status !== 'child_ready' && call.child !== undefined) return call.child;
  const child = childOf(deps, run, call, await read(parseCallId(call.c).entry));
  return (await deps.journal.authoritative(child, 0)) === null ? null : child;
}

/** Stores a message on a write-once subject; that it stands there already is as good. */
async function once(deps: NodeDeps, subject: string, data: string): Promise<void> {
  try {
    await deps.bus.publish(subject, data);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'taken') throw error;
  }
}
