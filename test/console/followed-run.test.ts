import { beforeAll, describe, expect, it } from 'vitest';
import { FollowedRun } from '../../src/console/gateway/followed-run.ts';
import { whyNow, whyPath } from '../../src/console/page/run/why-path.ts';
import type { RunHead, Why } from '../../src/console/wire.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { endedRun } from './journals.ts';

/** What is worked out of a run for those who look, once for all of them. */

let journal: JournalEntry[];

beforeAll(async () => {
  ({ journal } = await endedRun(12));
});

function followed(entries: number): FollowedRun {
  const run = new FollowedRun();
  for (const entry of journal.slice(0, entries)) run.push(entry);
  return run;
}

/** A run in the middle of a chain, whose node calls a tool. */
function workingHead(): RunHead {
  for (let n = 1; n < journal.length; n++) {
    const head = followed(n).head(false);
    if (head?.state === 'executing.calling') return head;
  }
  throw new Error('it never called a tool');
}

describe('a run that is looked at', () => {
  it('has one head for all until the next entry, and another one once its journal is read', () => {
    const run = followed(4);
    const head = run.head(false);
    expect(run.head(false)).toBe(head);
    expect(run.head(true)).toMatchObject({ n: 3, reading: true });
    run.push(journal[4] as JournalEntry);
    expect(run.head(false)).toMatchObject({ n: 4, reading: false });
    run.stop();
  });

  it('has the secrets taken out of a context once for all who look on, and keeps few such copies', () => {
    const run = followed(30);
    const first = run.contextAt(20)?.context;
    expect(run.contextAt(20)?.context).toBe(first);
    expect(run.contextAt(21)?.before).toBe(first);
    for (let n = 1; n < 20; n++) run.contextAt(n);
    expect(run.contextAt(20)?.context).toEqual(first);
    expect(run.contextAt(20)?.context).not.toBe(first);
    run.stop();
  });
});

describe('a node', () => {
  it('is asked nothing about a run that works, however fast it does, nor about one that is over or still read', () => {
    const head = workingHead();
    const until = head.working[0]?.until ?? 0;
    expect(whyPath(head, until - 1)).toBeNull();
    expect(whyPath({ ...head, n: head.n + 1 }, until - 1)).toBeNull();
    expect(whyPath({ ...head, working: [], reading: true }, 0)).toBeNull();
    expect(whyPath(followed(journal.length).head(false) as RunHead, 0)).toBeNull();
  });

  it('is asked once an entry what a run waits for, whose pause holds it, and who has one that should have gone on', () => {
    const head = workingHead();
    const path = `/api/runs/${head.run}/why?n=${head.n}`;
    expect(whyPath({ ...head, working: [] }, 0)).toBe(path);
    expect(whyPath({ ...head, pause: { by: 'olga', why: 'look', at: 1, scope: null } }, 0)).toBe(path);
    expect(whyPath(head, head.working[0]?.until ?? 0)).toBe(path);
  });

  it('is believed about the state that it spoke of, and about no later one', () => {
    const why = { state: 'waiting.approval', waiting_for: 'an approval of mail' } as Why;
    const fault = { code: 'no_node', message: 'no node answers' };
    expect(whyNow({ state: 'waiting.approval' }, why, null)).toBe(why);
    expect(whyNow({ state: 'executing.calling' }, why, null)).toBeNull();
    expect(whyNow({ state: 'waiting.approval' }, why, fault)).toBeNull();
    expect(whyNow({ state: 'idle.held' }, { ...why, state: 'unreadable' }, null)).toMatchObject({
      state: 'unreadable',
    });
    expect(whyNow({ state: 'idle.held' }, null, null)).toBeNull();
  });
});
