import { newNkey, nkeySignatures, nkeySigner } from '../../src/adapters/nkeys/signing.ts';
import {
  ApprovalNotice,
  ApprovalRequest,
  type DecisionPayload,
  RefusedDecision,
} from '../../src/core/approval-wire.ts';
import { digestOf } from '../../src/core/canonical.ts';
import type { Json } from '../../src/core/json.ts';
import type { Signer } from '../../src/ports/signing.ts';
import type { Cluster } from './support.ts';

/** Approvers of a simulated cluster, and what they see. */

export interface TestApprover {
  name: string;
  signer: Signer;
}

export async function addApprover(
  cluster: Cluster,
  name: string,
  more: { groups?: string[]; users?: string[]; signer?: Signer; revoked?: boolean } = {},
): Promise<TestApprover> {
  const signer = more.signer ?? nkeySigner(newNkey().seed);
  const { groups = ['approvers'], users = [], revoked = false } = more;
  const record = { v: 1, name, public_key: signer.publicKey, groups, users, revoked, by: 'test', why: '' };
  await cluster.client.publish(cluster.subjects.approver(name), JSON.stringify(record));
  return { name, signer };
}

export function payloadFor(
  request: ApprovalRequest,
  approver: TestApprover,
  more: Partial<DecisionPayload> = {},
): DecisionPayload {
  const { cluster, run, c, digest, policy } = request;
  return {
    v: 1,
    type: 'proctor.decision',
    cluster,
    run,
    c,
    digest,
    policy,
    approver: approver.name,
    verdict: 'approve',
    why: '',
    expires_at: Number.MAX_SAFE_INTEGER,
    ...more,
  };
}

export function edit(args: Record<string, Json>): NonNullable<DecisionPayload['edited']> {
  return { args, digest: digestOf(nkeySignatures, args) };
}

export function signedBy({ signer }: TestApprover, payload: DecisionPayload): string {
  const text = JSON.stringify(payload);
  return JSON.stringify({ v: 1, key: signer.publicKey, payload: text, signature: signer.sign(text) });
}

/** Signs and publishes, to the subject that the decision is for. */
export async function decide(
  cluster: Cluster,
  request: ApprovalRequest,
  approver: TestApprover,
  more: Partial<DecisionPayload> = {},
): Promise<void> {
  const subject = cluster.subjects.decision(request.run, request.c, approver.name);
  const text = signedBy(approver, payloadFor(request, approver, more));
  // The word before may not have been taken out of the inbox yet.
  await cluster.until('room for a decision', () =>
    cluster.client.publish(subject, text).then(
      () => true,
      () => false,
    ),
  );
}

export function openRequests(cluster: Cluster): Promise<ApprovalRequest[]> {
  return cluster.last('APR', 'proctor.apr.req.>', (text) => ApprovalRequest.parse(JSON.parse(text)));
}

export function request(cluster: Cluster, pick: (one: ApprovalRequest) => boolean = () => true) {
  return cluster.until('request for an approval', async () => (await openRequests(cluster)).find(pick));
}

export function refused(cluster: Cluster): Promise<RefusedDecision[]> {
  return cluster.last('AUDIT', 'proctor.audit.>', (text) => RefusedDecision.parse(JSON.parse(text)));
}

/** What is told about requests from now on. */
export function notices(cluster: Cluster): ApprovalNotice[] {
  const heard: ApprovalNotice[] = [];
  cluster.client.subscribe('proctor.apr.note.>', ({ data }) => void heard.push(ApprovalNotice.parse(JSON.parse(data))));
  return heard;
}
