import { describe, expect, it } from 'vitest';
import { notesOf } from '../../src/cli/health.ts';
import { Health } from '../../src/core/cluster-wire.ts';

const NOW = 10_000_000;
const node = {
  node: 'rack-2',
  version: '1.0.0',
  started_at: 0,
  slots: 10,
  lease_ms: 10_000,
  active_runs: 0,
  agents: {},
};
const notes = (more: object, blocked?: object) =>
  notesOf(
    Health.parse({
      now: NOW,
      nodes: [blocked === undefined ? node : { ...node, blocked }],
      queues: [],
      dead_letters: 0,
      stale: [],
      ...more,
    }),
  );

describe('the notes of health', () => {
  it('count the runs that wait for a person, and tell since when', () => {
    expect(notes({ people: { count: 0, oldest_at: null, complete: true } })).toEqual([]);
    expect(notes({ people: { count: 2, oldest_at: NOW - 120_000, complete: true } })).toEqual([
      '2 runs wait for a person, the oldest for 2 m 0 s: proctor ps, then proctor why RUN',
    ]);
    const [some] = notes({ people: { count: 1, oldest_at: NOW - 1_000, complete: false } });
    expect(some).toMatch(/^at least 1 run waits for a person/);
    // A node of an older release says nothing about it.
    expect(notes({})).toEqual([]);
  });

  it('name what blocked a node within the last hour', () => {
    const blocked = { at: NOW - 60_000, ms: 3_210, run_id: '20260101-a-1', agent: 'thinker', doing: 'tool dig' };
    expect(notes({}, blocked)).toEqual([
      'node rack-2 was blocked for 3210 ms, 1 m 0 s ago, by run 20260101-a-1 of agent thinker, tool dig: the log of the node has the stack (node.blocked)',
    ]);
    expect(notes({}, { at: NOW - 60_000, ms: 3_210 })[0]).toContain('by something that nobody knows');
    expect(notes({}, { ...blocked, at: NOW - 3_700_000 })).toEqual([]);
  });
});
