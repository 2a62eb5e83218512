import type { ApiBody } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import type { AccountInfo, BreakerInfo } from '../core/ledger-wire.ts';
import type { NodeDeps } from './deps.ts';

/** What nodes answer about budgets and breakers: what the ledger comes to as this node has read it. */

/** Breakers that are not closed, or have seen failures, by target. */
export function listBreakers({ ledger }: NodeDeps): { breakers: BreakerInfo[] } {
  const breakers = [...ledger.ledger.breakers.breakers].map(([target, { probes, ...breaker }]) => ({
    target,
    ...breaker,
    probes: Object.keys(probes).length,
  }));
  return { breakers: breakers.sort((a, b) => (a.target < b.target ? -1 : 1)) };
}

export async function resetBreaker(
  { ledger, log }: NodeDeps,
  { target, by, why }: ApiBody<'breaker_reset'>,
): Promise<{ ok: true; target: string }> {
  if (!ledger.ledger.breakers.breakers.has(target)) {
    const others = [...ledger.ledger.breakers.breakers.keys()].slice(0, 10);
    const known = others.length === 0 ? 'none has seen a failure' : `there are: ${others.join(', ')}`;
    throw new AppError('unknown_breaker', `no breaker ${target} is open or has seen a failure; ${known}`, {
      field: 'target',
    });
  }
  await ledger.tell({ v: 1, kind: 'reset', target, by, why });
  log.warn('breaker.reset', { target, by, why });
  return { ok: true, target };
}

/** A page of the accounts of periods that are not over, by scope. */
export function listAccounts(
  { ledger, clock }: NodeDeps,
  { limit, after }: ApiBody<'accounts'>,
): { accounts: AccountInfo[]; next: string | null } {
  const now = clock.now();
  const all = [...ledger.ledger.accounts.accounts]
    .filter(([key, { until }]) => key > after && (until === null || until > now))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const page = all.slice(0, limit);
  const accounts = page.map(([key, { spent, held, until }]) => {
    const space = key.lastIndexOf(' ');
    return { scope: key.slice(0, space), period: key.slice(space + 1), spent, held, until };
  });
  return { accounts, next: all.length > limit ? (page.at(-1)?.[0] ?? null) : null };
}
