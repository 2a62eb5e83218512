import { ApproverName } from '../core/approval-rules.ts';
import { ApprovalNotice, ApprovalRequest, type DecisionPayload, OpenPage } from '../core/approval-wire.ts';
import { digestOf } from '../core/canonical.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus, Subscription } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Signatures, Signer } from '../ports/signing.ts';

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

export interface Approver {
  /**
   * Open requests, oldest first; pages are followed. Throws AppError `no_node`, also when the login may not see them.
   */
  open(): AsyncIterable<ApprovalRequest>;
  /** Hears requests as they are made and what becomes of them, from now on. One may be heard more than once. */
  hear(to: { request?: (request: ApprovalRequest) => void; notice?: (notice: ApprovalNotice) => void }): Subscription[];
  /**
   * Signs a decision and hands it in; resolves when it is stored. Whether it counts is told by a notice. Throws AppError
   * `taken` (a word of the same approver is under way), `no_key`.
   */
  decide(request: ApprovalRequest, verdict: Verdict): Promise<void>;
  /** The same, and waits for the word of a node. Throws AppError with the code of a refusal, `timeout`. */
  decideAndWait(request: ApprovalRequest, verdict: Verdict, timeoutMs?: number): Promise<ApprovalNotice>;
}

/** How long a node may take for an answer, milliseconds. */
const ANSWER_MS = 5_000;
const NOTICE_MS = 15_000;

/** The most that a decision holds after it was signed, milliseconds; the call's own deadline comes before it. */
const DECISION_MS = 600_000;

export function createApprover({ bus, subjects, clock, signatures, groups, as }: ApproverOptions): Approver {
  if (as !== undefined && !ApproverName.safeParse(as.name).success) {
    throw new AppError('invalid_request', 'approver: expected 1 to 32 letters, digits, ., _, @, + or -', {
      field: 'approver',
    });
  }

  const page = async (group: string | undefined, after: number): Promise<OpenPage> => {
    const subject = subjects.approvalsOpen(group);
    try {
      const { data } = await bus.request(subject, JSON.stringify({ v: 1, after }), { timeoutMs: ANSWER_MS });
      return OpenPage.parse(JSON.parse(data));
    } catch (thrown) {
      const error = toAppError(thrown, 'bad_answer');
      if (error.code !== 'no_responders' && error.code !== 'timeout') throw error;
      throw new AppError('no_node', `no node answers on ${subject}: start one, or try again when one is back`, {
        retryable: true,
        cause: thrown,
      });
    }
  };

  async function* open(): AsyncGenerator<ApprovalRequest> {
    const seen = new Set<string>();
    for (const group of groups ?? [undefined]) {
      for (let after: number | null = 0; after !== null; ) {
        const { requests, next } = await page(group, after);
        for (const request of requests) {
          if (seen.has(request.id)) continue;
          seen.add(request.id);
          yield request;
        }
        after = next;
      }
    }
  }

  const hear: Approver['hear'] = ({ request, notice }) =>
    (groups ?? ['*']).flatMap((group) => [
      ...(request === undefined ? [] : [listen(subjects.approvalRequest(group, '*', '*'), ApprovalRequest, request)]),
      ...(notice === undefined ? [] : [listen(subjects.approvalNotice(group, '*', '*'), ApprovalNotice, notice)]),
    ]);

  /** What cannot be read is of a newer node, or of nobody: passed over. */
  function listen<T>(
    subject: string,
    schema: { safeParse(value: unknown): { success: boolean; data?: T } },
    to: (value: T) => void,
  ): Subscription {
    return bus.subscribe(subject, ({ data }) => {
      let value: unknown;
      try {
        value = JSON.parse(data);
      } catch {
        return;
      }
      const read = schema.safeParse(value);
      if (read.success && read.data !== undefined) to(read.data);
    });
  }

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
