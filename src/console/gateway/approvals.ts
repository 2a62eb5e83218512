import type { Operator } from '../../client/operator.ts';
import { ApprovalNotice, type ApprovalRequest } from '../../core/approval-wire.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import { redact } from '../../core/redact.ts';
import type { Signed } from '../../core/signed.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { OpenApprovals } from '../../worker/open-approvals.ts';
import type { Approvals } from '../wire.ts';
import type { ConsoleBus } from './cluster-source.ts';

/**
 * What waits for an approval, followed while a tab looks at it. Decisions are signed in the browser of whoever decides and
 * only passed on here: the gateway holds no key of an approver.
 */

const EVERY_MS = 10_000;
/** How long a node may take to say what came of a decision, milliseconds. */
const NOTICE_MS = 10_000;

export interface ApprovalsParts {
  bus: Pick<ConsoleBus, 'publish' | 'subscribe' | 'flush'>;
  subjects: Subjects;
  open: OpenApprovals;
  operator: Pick<Operator, 'approvers'>;
  now(): number;
}

interface Listener {
  /** Sees arguments as they are. */
  exact: boolean;
  tell(approvals: Approvals): void;
}

export class ApprovalsState {
  private readonly parts: ApprovalsParts;
  private readonly listeners = new Set<Listener>();
  private end: (() => void) | null = null;
  private asking: Promise<void> | null = null;
  private again = false;
  private last: Approvals | null = null;

  constructor(parts: ApprovalsParts) {
    this.parts = parts;
  }

  /** @returns what ends it */
  watch(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.last !== null) listener.tell(shownTo(listener, this.last));
    this.end ??= this.follow();
    this.refresh();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.stop();
    };
  }

  private follow(): () => void {
    const refresh = () => this.refresh();
    const heard = this.parts.open.hear({ request: refresh, notice: refresh });
    const timer = setInterval(refresh, EVERY_MS);
    return () => {
      clearInterval(timer);
      for (const one of heard) void one.stop();
    };
  }

  /** What comes while it is read is read once more. */
  private refresh(): void {
    if (this.asking !== null) {
      this.again = true;
      return;
    }
    this.asking = this.ask().finally(() => {
      this.asking = null;
      if (!this.again || this.end === null) return;
      this.again = false;
      this.refresh();
    });
  }

  private async ask(): Promise<void> {
    this.last = await this.read();
    for (const listener of this.listeners) listener.tell(shownTo(listener, this.last));
  }

  private async read(): Promise<Approvals> {
    const { open, operator, now } = this.parts;
    try {
      const requests: ApprovalRequest[] = [];
      for await (const request of open.open()) requests.push(request);
      const approvers = await operator.approvers();
      return {
        requests,
        approvers: approvers.flatMap(({ name, public_key, groups, revoked }) =>
          revoked ? [] : [{ name, public_key, groups }],
        ),
        exact: true,
        error: null,
        at: now(),
      };
    } catch (thrown) {
      const { requests = [], approvers = [] } = this.last ?? {};
      return { requests, approvers, exact: true, error: toAppError(thrown).message, at: now() };
    }
  }

  /**
   * Passes on a signed decision and waits for a node's word on it. Throws AppError with the code of a refusal, `taken`
   * (another word of this approver is under way), `timeout`.
   */
  async decide(run: string, c: string, approver: string, signed: Signed): Promise<ApprovalNotice> {
    const { bus, subjects } = this.parts;
    let settle: (notice: ApprovalNotice) => void = () => {};
    const told = new Promise<ApprovalNotice>((resolve) => {
      settle = resolve;
    });
    const heard = bus.subscribe(subjects.approvalNotice('*', run, c), ({ data }) => {
      const notice = noticeIn(data);
      if (notice === null) return;
      const { refused, by, state } = notice;
      if (refused === undefined ? by === approver || state !== 'pending' : refused.approver === approver)
        settle(notice);
    });
    let late: NodeJS.Timeout | undefined;
    try {
      await bus.flush();
      await bus.publish(subjects.decision(run, c, approver), JSON.stringify({ v: 1, ...signed }));
      const timeout = new Promise<never>((_, reject) => {
        const text = 'the decision is stored; no node has said yet what came of it';
        late = setTimeout(() => reject(new AppError('timeout', text, { retryable: true })), NOTICE_MS);
      });
      const notice = await Promise.race([told, timeout]);
      if (notice.refused !== undefined) throw new AppError(notice.refused.code, notice.refused.message);
      return notice;
    } finally {
      clearTimeout(late);
      await heard.stop();
      this.refresh();
    }
  }

  stop(): void {
    this.end?.();
    this.end = null;
  }
}

/** Whoever only looks sees no secret; whoever decides must see what is decided. */
function shownTo({ exact }: Listener, approvals: Approvals): Approvals {
  if (exact) return approvals;
  return { ...approvals, requests: redact(approvals.requests) as ApprovalRequest[], approvers: [], exact: false };
}

function noticeIn(data: string): ApprovalNotice | null {
  try {
    const read = ApprovalNotice.safeParse(JSON.parse(data));
    return read.success ? read.data : null;
  } catch {
    return null;
  }
}
