import type { ApprovalNotice, ApprovalRequest } from '../core/approval-wire.ts';
import { toAppError } from '../core/errors.ts';
import type { Cancel } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { type ApproverOptions, createApprover, type Verdict } from './approver.ts';

export interface ServeApprovalsOptions extends ApproverOptions {
  as: NonNullable<ApproverOptions['as']>;
  log: Log;
  /**
   * Looks at one request. Null: nothing is said now, and others may; `later(verdict)` can still say it. Is asked once for
   * each request, and again when others have approved it since. Aborted when the request is settled.
   */
  decide(request: ApprovalRequest, context: DecideContext): Promise<Verdict | null> | Verdict | null;
  /** Hears what became of requests. */
  heard?(notice: ApprovalNotice): void;
}

export interface DecideContext {
  signal: AbortSignal;
  /** For what is decided later, such as when a person has clicked. */
  later(verdict: Verdict): Promise<void>;
}

export interface ApprovalService {
  /** Hears nothing any more; what was asked of `decide` is aborted. */
  stop(): Promise<void>;
}

/** How often it looks for what it was not told, as what is only told gets lost, milliseconds. */
const LOOK_EVERY_MS = 10_000;

/**
 * An approval service: everything that is open is looked at, also what was asked before it started. When none runs, or
 * it says nothing, the deadline comes and the call counts as not approved.
 */
export async function serveApprovals(options: ServeApprovalsOptions): Promise<ApprovalService> {
  const { clock, log } = options;
  const approver = createApprover(options);
  /** What is being looked at, by request and how many had approved it. */
  const open = new Map<string, { given: number; abort: AbortController }>();
  let stopped = false;

  const look = (request: ApprovalRequest): void => {
    const { id, given } = request;
    const known = open.get(id);
    if (stopped || (known !== undefined && known.given >= given.length)) return;
    if (given.some((one) => one.approver === options.as.name)) return;
    known?.abort.abort();
    const abort = new AbortController();
    open.set(id, { given: given.length, abort });
    const say = async (verdict: Verdict): Promise<void> => {
      if (abort.signal.aborted) return;
      await approver.decide(request, verdict);
      log.info('approval.said', { run_id: request.run, call: request.c, tool: request.tool, verdict: verdict.verdict });
    };
    Promise.resolve()
      .then(() => options.decide(request, { signal: abort.signal, later: say }))
      .then((verdict) => (verdict === null ? undefined : say(verdict)))
      .catch((thrown: unknown) => {
        const { code, message } = toAppError(thrown);
        if (code === 'taken') return;
        const consequence = 'nothing was decided; it is looked at again within seconds';
        log.error('approval.not_decided', { run_id: request.run, call: request.c, code, message, consequence });
        if (open.get(id)?.abort === abort) open.delete(id);
      });
  };
  const settled = (notice: ApprovalNotice): void => {
    options.heard?.(notice);
    const { run, c, refused } = notice;
    if (refused?.approver === options.as.name) {
      log.warn('approval.refused', { run_id: run, call: c, code: refused.code, message: refused.message });
    }
    if (notice.state === 'pending') return;
    open.get(`${run}:${c}`)?.abort.abort();
    open.delete(`${run}:${c}`);
  };

  const heard = approver.hear({ request: look, notice: settled });
  await options.bus.flush();
  const readOpen = async (): Promise<void> => {
    const ids = new Set<string>();
    for await (const request of approver.open()) {
      ids.add(request.id);
      look(request);
    }
    // What is over was perhaps told while nobody could hear it.
    for (const [id, { abort }] of open) {
      if (ids.has(id)) continue;
      abort.abort();
      open.delete(id);
    }
  };
  let cancel: Cancel = () => {};
  const again = (): void => {
    if (stopped) return;
    cancel = clock.after(LOOK_EVERY_MS, () => void readOpen().catch(notRead).finally(again));
  };
  const notRead = (thrown: unknown): void => {
    const { code, message } = toAppError(thrown);
    if (!stopped) log.warn('approvals.not_read', { code, message, consequence: 'asked again in ten seconds' });
  };
  await readOpen().catch(notRead);
  again();
  return {
    async stop() {
      stopped = true;
      cancel();
      await Promise.all(heard.map((one) => one.stop()));
      for (const { abort } of open.values()) abort.abort();
      open.clear();
    },
  };
}
