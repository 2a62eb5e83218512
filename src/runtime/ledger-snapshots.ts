import { AppError, describeFaults } from '../core/errors.ts';
import { LedgerSnapshot, SnapshotHead } from '../core/ledger-wire.ts';
import { streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';

/**
 * Snapshots of the ledger, in parts. The state behind an entry is the same on every node, so whoever stores it stores
 * the same: every part is write-once, and the head comes last. The last two are kept, and of the ledger what stands
 * behind the older of them.
 */

/** Characters in one part: at most 600 KB of UTF-8. */
const PART_CHARS = 200_000;

interface Where {
  bus: Bus;
  subjects: Subjects;
}

/** The newest snapshot that is complete; null without one. Throws AppError `ledger_unreadable` when it says nothing. */
export async function readSnapshot(where: Where): Promise<LedgerSnapshot | null> {
  for (const head of (await heads(where)).reverse()) {
    const text = await partsOf(where, head);
    if (text === null) continue;
    const parsed = LedgerSnapshot.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    const faults = describeFaults(parsed.error, 'snapshot').message;
    throw new AppError('ledger_unreadable', `the ledger's snapshot ${head.seq} is not valid: ${faults}`);
  }
  return null;
}

/** Stores a snapshot, then trims what nobody needs any more. */
export async function storeSnapshot(where: Where, snapshot: LedgerSnapshot): Promise<void> {
  const { bus, subjects } = where;
  const streams = streamsOf(subjects);
  const { seq } = snapshot;
  const before = await heads(where);
  if (before.some((head) => head.seq >= seq)) return;
  const text = JSON.stringify(snapshot);
  const parts = Math.ceil(text.length / PART_CHARS);
  for (let i = 0; i < parts; i++) {
    await once(where, subjects.ledgerSnapshot(seq, i), text.slice(i * PART_CHARS, (i + 1) * PART_CHARS));
  }
  const stored = await bus.last(streams.ledgerSnapshots.name, subjects.ledgerSnapshot(seq, 0), { authoritative: true });
  if (stored === null) return;
  const head: SnapshotHead = { v: 1, seq, parts, first: stored.seq };
  await once(where, subjects.ledgerSnapshot(seq, 'head'), JSON.stringify(head));
  // Read again: others may have been stored meanwhile, and the first part of a later one before that of an earlier one.
  const kept = (await heads(where)).slice(-2);
  const [older] = kept;
  if (older === undefined || kept.length < 2) return;
  await bus.trim(streams.ledger.name, older.seq + 1);
  await bus.trim(streams.ledgerSnapshots.name, Math.min(...kept.map(({ first }) => first)));
}

/** By the entry that they stand behind, oldest first. */
async function heads({ bus, subjects }: Where): Promise<SnapshotHead[]> {
  const found: SnapshotHead[] = [];
  const filter = subjects.ledgerSnapshot('*', 'head');
  for await (const { data } of bus.scan(streamsOf(subjects).ledgerSnapshots.name, filter)) {
    found.push(SnapshotHead.parse(JSON.parse(data)));
  }
  return found.sort((a, b) => a.seq - b.seq);
}

async function partsOf({ bus, subjects }: Where, { seq, parts }: SnapshotHead): Promise<string | null> {
  let text = '';
  for (let i = 0; i < parts; i++) {
    const stream = streamsOf(subjects).ledgerSnapshots.name;
    const part = await bus.last(stream, subjects.ledgerSnapshot(seq, i), { authoritative: true });
    if (part === null) return null;
    text += part.data;
  }
  return text;
}

async function once({ bus }: Where, subject: string, data: string): Promise<void> {
  try {
    await bus.publish(subject, data);
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'taken') throw thrown;
  }
}
