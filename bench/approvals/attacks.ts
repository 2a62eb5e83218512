import { newNkey, nkeySignatures, nkeySigner } from '../../src/adapters/nkeys/signing.ts';
import type { ApprovalRequest, DecisionPayload } from '../../src/core/approval-wire.ts';
import { digestOf } from '../../src/core/canonical.ts';
import type { Signer } from '../../src/ports/signing.ts';

/** Decisions that must not count. Each is published by somebody who holds the login of an approver. */

export interface Person {
  name: string;
  signer: Signer;
}

export interface Scene {
  request: ApprovalRequest;
  /** Another call of the same run, and one of another run, which wait as well. */
  sibling: ApprovalRequest;
  stranger: ApprovalRequest;
  /** May decide. */
  alice: Person;
  /** In another group; whose key is revoked; who handed in the task. */
  outsider: Person;
  revoked: Person;
  requester: Person;
  now: number;
}

export interface Forged {
  /** Where it is published to, and the body. */
  to: { run: string; c: string; approver: string };
  body: string;
}

export interface Attack {
  /** Refusals that are right. */
  codes: string[];
  forge(scene: Scene): Forged;
}

function payload({ cluster, run, c, digest, policy, deadline }: ApprovalRequest, approver: string): DecisionPayload {
  return {
    v: 1,
    type: 'proctor.decision',
    cluster,
    run,
    c,
    digest,
    policy,
    approver,
    verdict: 'approve',
    why: '',
    expires_at: deadline,
  };
}

function signed(by: Pick<Person, 'signer'>, decision: DecisionPayload, key = by.signer.publicKey): string {
  const text = JSON.stringify(decision);
  return JSON.stringify({ v: 1, key, payload: text, signature: by.signer.sign(text) });
}

const stranger = nkeySigner(newNkey().seed);

const aimedAt = ({ request: { run, c } }: Scene, approver: string): Forged['to'] => ({ run, c, approver });

/** A decision of alice about this call that differs in something. */
const with_ = (change: (scene: Scene) => Partial<DecisionPayload>) => (scene: Scene) => ({
  to: aimedAt(scene, scene.alice.name),
  body: signed(scene.alice, { ...payload(scene.request, scene.alice.name), ...change(scene) }),
});

/** One of alice that is right where it was made. */
const replayed = (from: 'sibling' | 'stranger') => (scene: Scene) => ({
  to: aimedAt(scene, scene.alice.name),
  body: signed(scene.alice, payload(scene[from], scene.alice.name)),
});

const saidBy = (who: 'outsider' | 'revoked' | 'requester') => (scene: Scene) => ({
  to: aimedAt(scene, scene[who].name),
  body: signed(scene[who], payload(scene.request, scene[who].name)),
});

export const ATTACKS: Record<string, Attack> = {
  forged: {
    codes: ['bad_signature'],
    forge: (scene) => ({
      to: aimedAt(scene, scene.alice.name),
      body: signed({ signer: stranger }, payload(scene.request, scene.alice.name), scene.alice.signer.publicKey),
    }),
  },
  'signed by another key': {
    codes: ['wrong_key'],
    forge: (scene) => ({
      to: aimedAt(scene, scene.alice.name),
      body: signed({ signer: stranger }, payload(scene.request, scene.alice.name)),
    }),
  },
  'by nobody known': {
    codes: ['unknown_approver'],
    forge: (scene) => ({
      to: aimedAt(scene, 'mallory'),
      body: signed({ signer: stranger }, payload(scene.request, 'mallory')),
    }),
  },
  'signed as another': {
    codes: ['other_approver'],
    forge: (scene) => ({
      to: aimedAt(scene, scene.alice.name),
      body: signed(scene.alice, payload(scene.request, scene.requester.name)),
    }),
  },
  'replayed on another step': { codes: ['other_call'], forge: replayed('sibling') },
  'replayed on another run': { codes: ['other_run'], forge: replayed('stranger') },
  expired: { codes: ['expired'], forge: with_(({ now }) => ({ expires_at: now - 60_000 })) },
  'edited after signing': {
    codes: ['bad_signature'],
    forge: (scene) => {
      const { name } = scene.alice;
      const body = JSON.parse(signed(scene.alice, payload(scene.request, name))) as { payload: string };
      const args = { amount: 999_999 };
      const edited = { args, digest: digestOf(nkeySignatures, args) };
      const changed = { ...(JSON.parse(body.payload) as object), edited };
      return { to: aimedAt(scene, name), body: JSON.stringify({ ...body, payload: JSON.stringify(changed) }) };
    },
  },
  'edited under a wrong digest': {
    codes: ['edited_digest'],
    forge: with_(({ request }) => ({ edited: { args: { amount: 999_999 }, digest: request.digest } })),
  },
  'edited against the schema': {
    codes: ['edited_invalid'],
    forge: with_(() => {
      const args = { amount: 'all of it' };
      return { edited: { args, digest: digestOf(nkeySignatures, args) } };
    }),
  },
  'signed by a revoked key': { codes: ['revoked_key'], forge: saidBy('revoked') },
  'decided by the requester': { codes: ['own_task'], forge: saidBy('requester') },
  'from another group': { codes: ['not_in_group'], forge: saidBy('outsider') },
  'digest of other arguments': {
    codes: ['other_arguments'],
    forge: with_(() => ({ digest: digestOf(nkeySignatures, { amount: 1 }) })),
  },
  'under another policy': { codes: ['other_policy'], forge: with_(() => ({ policy: 'payer@2' })) },
  "another cluster's": { codes: ['other_cluster'], forge: with_(() => ({ cluster: '0123456789abcdef' })) },
  'without a signature': {
    codes: ['malformed'],
    forge: (scene) => ({ to: aimedAt(scene, scene.alice.name), body: '{"v":1,"verdict":"approve"}' }),
  },
};
