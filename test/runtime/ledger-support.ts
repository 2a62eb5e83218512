import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import type { AccountRef, LedgerEntryOf } from '../../src/core/ledger-wire.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Bus } from '../../src/ports/bus.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { LedgerLog } from '../../src/runtime/ledger-log.ts';
import { type LogLine, listLog } from '../adapters/nats/support.ts';

export interface Participant {
  ledger: LedgerLog;
  lines: LogLine[];
}

export async function ensureLedger(bus: Bus, subjects: Subjects): Promise<void> {
  const { ledger, ledgerSnapshots } = streamsOf(subjects);
  await Promise.all([bus.ensureStream(ledger), bus.ensureStream(ledgerSnapshots)]);
}

export async function participant(
  bus: Bus,
  clock: Clock,
  subjects = new Subjects(),
  snapshotEvery = 5_000,
): Promise<Participant> {
  const lines: LogLine[] = [];
  const ledger = new LedgerLog({ bus, subjects, clock, ids: cryptoIds, log: listLog(lines), snapshotEvery });
  await ledger.start(clock);
  return { ledger, lines };
}

export function reserveOf(
  id: string,
  nanos: number,
  account: AccountRef,
  run = 'r',
  epoch = 1,
): LedgerEntryOf<'reserve'> {
  return {
    v: 1,
    kind: 'reserve',
    id,
    run,
    epoch,
    until: Number.MAX_SAFE_INTEGER,
    amount: { nanos, tokens: 0, count: 0 },
    accounts: [account],
  };
}

export const settleOf = (id: string, nanos: number): LedgerEntryOf<'settle'> => ({
  v: 1,
  kind: 'settle',
  id,
  amount: { nanos, tokens: 0, count: 0 },
});
