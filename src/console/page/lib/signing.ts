import { canonicalText } from '../../../core/canonical.ts';
import type { ApprovalNotice, ApprovalRequest, Json } from '../../wire.ts';
import { post } from './api.ts';
import { pairOf } from './nkeys.ts';

/**
 * Decisions are signed here, in the browser of whoever decides, over the arguments that this page shows. The key stays in
 * the memory of this tab: it is neither stored nor sent.
 */

export interface ApproverKey {
  name: string;
  publicKey: string;
  groups: string[];
  sign(text: string): Promise<string>;
}

export type Verdict =
  | { verdict: 'approve'; why: string; args?: Record<string, Json> }
  | { verdict: 'deny'; why: string };

const NEEDS_TLS = 'This browser signs nothing on a page without TLS: open the console over https or on localhost.';

/** The most that a decision holds after it was signed, milliseconds; the call's own deadline comes before it. */
const DECISION_MS = 600_000;

/** @param seed the text of a key file @param approvers those whose keys are in force */
export async function openKey(
  seed: string,
  approvers: { name: string; public_key: string; groups: string[] }[],
): Promise<ApproverKey> {
  if (crypto.subtle === undefined) throw new Error(NEEDS_TLS);
  const pair = await pairOf(seed.trim()).catch(() => {
    throw new Error(
      'This browser signs with no such key (Ed25519): Chrome from 137, Firefox from 129 and Safari from 17 on do; or decide with "proctor approvals".',
    );
  });
  if (pair === null) {
    throw new Error('This is no key of an approver: choose the file that "proctor keys new NAME" wrote.');
  }
  const { publicKey } = pair;
  const known = approvers.find((one) => one.public_key === publicKey);
  if (known === undefined) {
    throw new Error(
      `No approver has this key now (${publicKey.slice(0, 12)}…): ask an operator for "proctor keys ls".`,
    );
  }
  const { name, groups } = known;
  return { name, publicKey, groups, sign: async (text) => base64url(await pair.sign(new TextEncoder().encode(text))) };
}

/** Signs and hands in; resolves with what a node says came of it. */
export async function decide(
  key: ApproverKey,
  request: ApprovalRequest,
  verdict: Verdict,
  now: number,
): Promise<ApprovalNotice> {
  const { cluster, run, c, digest, policy } = request;
  if ((await digestOf(request.args)) !== digest) {
    throw new Error(
      'The request names other arguments than those that are shown: do not decide, and tell an operator.',
    );
  }
  const args = verdict.verdict === 'approve' ? verdict.args : undefined;
  const payload = JSON.stringify({
    v: 1,
    type: 'proctor.decision',
    cluster,
    run,
    c,
    digest,
    policy,
    approver: key.name,
    verdict: verdict.verdict,
    why: verdict.why,
    ...(args === undefined ? {} : { edited: { args, digest: await digestOf(args) } }),
    expires_at: now + DECISION_MS,
  });
  const signed = { key: key.publicKey, payload, signature: await key.sign(payload) };
  return post<ApprovalNotice>('/api/approvals/decide', { run, c, approver: key.name, ...signed });
}

async function digestOf(args: Record<string, Json>): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonicalText(args)));
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
