import { ApprovalNotice, ApprovalRequest, OpenPage } from '../core/approval-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus, Subscription } from '../ports/bus.ts';

/** What waits for an approval, for whoever may see it. */

/** How long a node may take for an answer, milliseconds. */
const ANSWER_MS = 5_000;

export interface OpenApprovalsOptions {
  bus: Pick<Bus, 'request' | 'subscribe'>;
  subjects: Subjects;
  /** Groups whose requests it looks at: those that its login may see; default all. */
  groups?: string[] | undefined;
}

export interface OpenApprovals {
  /**
   * Open requests, oldest first; pages are followed. Throws AppError `no_node`, also when the login may not see them.
   */
  open(): AsyncIterable<ApprovalRequest>;
  /** Hears requests as they are made and what becomes of them, from now on. One may be heard more than once. */
  hear(to: { request?: (request: ApprovalRequest) => void; notice?: (notice: ApprovalNotice) => void }): Subscription[];
}

type Parsed<T> = { safeParse(value: unknown): { success: boolean; data?: T } };

export function openApprovals({ bus, subjects, groups }: OpenApprovalsOptions): OpenApprovals & {
  /** Hears what is told on one subject, where it can be read. */
  listen<T>(subject: string, schema: Parsed<T>, to: (value: T) => void): Subscription;
} {
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

  const hear: OpenApprovals['hear'] = ({ request, notice }) =>
    (groups ?? ['*']).flatMap((group) => [
      ...(request === undefined ? [] : [listen(subjects.approvalRequest(group, '*', '*'), ApprovalRequest, request)]),
      ...(notice === undefined ? [] : [listen(subjects.approvalNotice(group, '*', '*'), ApprovalNotice, notice)]),
    ]);

  /** What cannot be read is of a newer node, or of nobody: passed over. */
  function listen<T>(subject: string, schema: Parsed<T>, to: (value: T) => void): Subscription {
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

  return { open, hear, listen };
}
