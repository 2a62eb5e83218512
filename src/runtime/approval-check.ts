import { readPayload } from '../core/approval-wire.ts';
import { digestOf } from '../core/canonical.ts';
import type { ErrorInfo } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { RunCall } from '../core/run-state.ts';
import { clusterId, wasKeyOf } from './approvals.ts';
import type { EffectScope } from './effects.ts';
import { plannedOf } from './steps.ts';

/**
 * The last look before a call that needs an approval is made: the journal must hold enough signatures over exactly the
 * arguments that are about to be sent. What the chart says is not enough: whoever can write to a journal could have made
 * it say so.
 */
export async function missingApproval(
  { deps, context, read }: EffectScope,
  call: RunCall,
  args: Record<string, Json>,
): Promise<ErrorInfo | null> {
  const { signatures } = deps;
  const terms = (await plannedOf(call.c, read))?.approval;
  const cluster = await clusterId(deps);
  const digest = digestOf(signatures, args);
  const approvers = new Set<string>();
  for (const { n, by } of call.approval?.given ?? []) {
    for (const event of (await read(n)).events) {
      if (event.type !== 'approval_decided' || event.c !== call.c || event.signed === undefined) continue;
      const { key, payload, signature } = event.signed;
      if (!signatures.verify(key, payload, signature) || !(await wasKeyOf(deps, by, key))) continue;
      const decision = readPayload(payload);
      const right =
        decision.verdict === 'approve' &&
        decision.cluster === cluster &&
        decision.approver === by &&
        decision.run === context.run &&
        decision.c === call.c &&
        decision.policy === terms?.policy &&
        decision.digest === terms.digest &&
        (decision.edited?.digest ?? decision.digest) === digest;
      if (right) approvers.add(key);
    }
  }
  const needed = terms?.needed ?? Number.POSITIVE_INFINITY;
  if (approvers.size >= needed) return null;
  const message = `the journal holds ${approvers.size} valid approvals of exactly these arguments and ${terms?.needed ?? 'some'} are needed: tool ${call.tool} was not called`;
  return { code: 'not_approved', message, retryable: false };
}
