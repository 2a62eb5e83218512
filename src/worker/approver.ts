import { ApproverName } from '../core/approval-rules.ts';
import { ApprovalNotice, type ApprovalRequest, type DecisionPayload } from '../core/approval-wire.ts';
import { digestOf } from '../core/canonical.ts';
import { AppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Signatures, Signer } from '../ports/signing.ts';
import { type OpenApprovals, openApprovals } from './open-approvals.ts';

/** One who decides about approvals: sees what is open, signs, and hears what came of it. */

export interface ApproverOptions {
  bus: Pick<Bus, 'publish' | 'request' | 'subscribe' | 'flush'>;
  subjects: Subjects;
  clock: Clock;
  signatures: Signatures;
  /** Groups whose requests it looks at: those that its login may see; default all. */
  groups?: string[];
  /** Absent: it can look, and decide nothing. */
  as?: { name: string; signer: Signer };
}

/** What is said about a request. With `args` it is approved for these arguments instead. */
export type Verdict =
  | { verdict: 'approve'; why?: string; args?: Record<string, Json> }
  | { verdict: 'deny'; why: string };

export interface Approver extends OpenApprovals {
  /**
   * Signs a decision and hands it in; resolves when it is stored. Whether it counts is told by a notice. Throws AppError
   * `taken` (a word of the same approver is under way), `no_key`.
   */
  decide(request: ApprovalRequest, verdict: Verdict): Promise<void>;
  /** The same, and waits for the word of a node. Throws AppError with the code of a refusal, `timeout`. */
  decideAndWait(request: ApprovalRequest, verdict: Verdict, timeoutMs?: number): Promise<ApprovalNotice>;
}

const NOTICE_MS = 15_000;

/** The most that a decision holds after it was signed, milliseconds; the call's own deadline comes before it. */
const DECISION_MS = 600_000;

export function createApprover({ bus, subjects, clock, signatures, groups, as }: ApproverOptions): Approver {
  if (as !== undefined && !ApproverName.safeParse(as.name).success) {
    throw new AppError('invalid_request', 'approver: expected 1 to 32 letters, digits, ., _, @, + or -', {
      field: 'approver',
    });
  }

  const { open, hear, listen } = openApprovals({ bus, subjects, groups });

  const decide: Approver['decide'] = async (request, verdict) => {
    if (as === undefined) throw new AppError('no_key', 'no key to sign with: make one with "proctor keys new"');
    const { name, signer } = as;
    const { cluster, run, c, digest, policy } = request;
    const edited = verdict.verdict === 'approve' && verdict.args !== undefined ? verdict.args : null;
    const decision: DecisionPayload = {
      v: 1,
      type: 'proctor.decision',
      cluster,
      run,
      c,
      digest,
      policy,
      approver: name,
      verdict: verdict.verdict,
      why: verdict.why ?? '',
      ...(edited === null ? {} : { edited: { args: edited, digest: digestOf(signatures, edited) } }),
      expires_at: clock.now() + DECISION_MS,
    };
    const payload = JSON.stringify(decision);
    const body = JSON.stringify({ v: 1, key: signer.publicKey, payload, signature: signer.sign(payload) });
    await bus.publish(subjects.decision(run, c, name), body);
  };

  const decideAndWait: Approver['decideAndWait'] = async (request, verdict, timeoutMs = NOTICE_MS) => {
    const { run, c } = request;
    let settle: (notice: ApprovalNotice) => void = () => {};
    let giveUp: (error: AppError) => void = () => {};
    const told = new Promise<ApprovalNotice>((resolve, reject) => {
      settle = resolve;
      giveUp = reject;
    });
    told.catch(() => undefined);
    const seen = request.groups.filter((group) => groups?.includes(group) ?? true);
    const heard = seen.map((group) =>
      listen(subjects.approvalNotice(group, run, c), ApprovalNotice, (notice) => {
        const { refused } = notice;
        if (
          refused === undefined ? notice.by === as?.name || notice.state !== 'pending' : refused.approver === as?.name
        ) {
          settle(notice);
        }
      }),
    );
    const cancel = clock.after(timeoutMs, () =>
      giveUp(
        new AppError('timeout', 'the decision is stored; no node has said yet what came of it', { retryable: true }),
      ),
    );
    try {
      await bus.flush();
      await decide(request, verdict);
      const notice = await told;
      if (notice.refused !== undefined) throw new AppError(notice.refused.code, notice.refused.message);
      return notice;
    } finally {
      cancel();
      await Promise.all(heard.map((one) => one.stop()));
    }
  };

  return { open, hear, decide, decideAndWait };
}
