import { AppError, toAppError } from '../core/errors.ts';
import type { NodeDeps } from './deps.ts';

/** How long a node has to answer, milliseconds. */
const ANSWER_MS = 2_000;

/**
 * What one node answers to another that passes a question on. Throws what that node threw, and AppError `code` when it
 * says nothing.
 * @param tells what it would have told, for whoever reads the error
 */
export async function askNode(
  { bus, subjects }: NodeDeps,
  node: string,
  verb: string,
  body: object,
  { code, tells }: { code: string; tells: string },
): Promise<unknown> {
  const answer = await bus
    .request(subjects.node(node, verb), JSON.stringify(body), { timeoutMs: ANSWER_MS })
    .catch((thrown: unknown) => {
      const { code: failed, message } = toAppError(thrown);
      if (failed !== 'no_responders' && failed !== 'timeout') throw thrown;
      const why =
        failed === 'timeout'
          ? `it did not answer within ${ANSWER_MS} ms: it may stand still`
          : `it is gone, or of a version that does not tell ${tells}`;
      throw new AppError(code, `node "${node}": ${why}`, { field: 'node', cause: message });
    });
  return JSON.parse(answer.data);
}
