import { describe, expect, it } from 'vitest';
import { explore, type Model } from '../../bench/model/explore.ts';

/** A model from a table: state to `[target, fairness bit]`; state `end` is the goal, states `bad…` are broken. */
function graph(edges: Record<string, [string, number][]>): Model<string> {
  return {
    initial: 'start',
    successors: (from) => (edges[from] ?? []).map(([to, fair]) => ({ label: `${from}>${to}`, fair, state: to })),
    key: (state) => state,
    goal: (state) => state === 'end',
    broken: (state) => (state.startsWith('bad') ? state : null),
  };
}

describe('explore', () => {
  it('finds nothing wrong with a model that reaches its goal', () => {
    const report = explore(
      graph({
        start: [
          ['a', 0],
          ['b', 0],
        ],
        a: [['end', 0]],
        b: [['end', 0]],
      }),
    );
    expect(report).toEqual({ states: 4, transitions: 4, findings: [], truncated: false });
  });

  it('names what a step broke, with the shortest way there', () => {
    const report = explore(
      graph({
        start: [
          ['a', 0],
          ['b', 0],
        ],
        a: [['c', 0]],
        c: [['bad', 0]],
        b: [
          ['bad', 0],
          ['end', 0],
        ],
      }),
    );
    expect(report.findings).toContainEqual({ what: 'bad', trace: ['start>b', 'b>bad'] });
  });

  it('finds a state that nothing need ever leave', () => {
    const report = explore(
      graph({
        start: [
          ['end', 0],
          ['a', 0],
        ],
        a: [['end', -1]],
      }),
    );
    expect(report.findings).toEqual([{ what: 'stuck', trace: ['start>a'] }]);
  });

  it('finds a loop in which all that stays possible is done in vain', () => {
    const report = explore(graph({ start: [['a', 0]], a: [['b', 1]], b: [['a', 2]] }));
    expect(report.findings).toEqual([{ what: 'livelock', trace: ['start>a'] }]);
  });

  it('finds a loop that leaves by a step which is possible only now and then', () => {
    const report = explore(
      graph({
        start: [['a', 0]],
        a: [
          ['b', 1],
          ['end', 3],
        ],
        b: [['a', 2]],
      }),
    );
    expect(report.findings.map((finding) => finding.what)).toEqual(['livelock']);
  });

  it('lets a loop pass that a step must leave because it stays possible', () => {
    const report = explore(
      graph({
        start: [['a', 0]],
        a: [
          ['b', 1],
          ['end', 3],
        ],
        b: [
          ['a', 2],
          ['end', 3],
        ],
      }),
    );
    expect(report.findings).toEqual([]);
  });

  it('lets a loop pass that needs one fault after the other but not one in which faults are all that can happen', () => {
    const leaves = explore(
      graph({
        start: [
          ['start', -1],
          ['end', 0],
        ],
      }),
    );
    expect(leaves.findings).toEqual([]);
    const stays = explore(graph({ start: [['a', -1]], a: [['start', -1]] }));
    expect(stays.findings.map((finding) => finding.what)).toEqual(['stuck', 'livelock']);
  });

  it('finds the inner loop of two that share a state only one way', () => {
    const report = explore(
      graph({
        start: [
          ['a', 0],
          ['end', 1],
        ],
        a: [
          ['start', 0],
          ['x', 0],
          ['end', 1],
        ],
        x: [['y', 0]],
        y: [['x', 0]],
      }),
    );
    expect(report.findings).toEqual([{ what: 'livelock', trace: ['start>a', 'a>x'] }]);
  });

  it('stops at the first thing that is wrong when it is told to', () => {
    const report = explore(
      graph({
        start: [['a', 0]],
        a: [
          ['bad', 0],
          ['b', 0],
        ],
        b: [['worse', 0]],
      }),
      { firstOnly: true },
    );
    expect(report).toMatchObject({ states: 3, findings: [{ what: 'bad' }], truncated: true });
  });

  it('says when it stopped at its limit', () => {
    const endless: Model<number> = {
      initial: 0,
      successors: (state) => [{ label: 'next', fair: 0, state: state + 1 }],
      key: String,
      goal: () => false,
      broken: () => null,
    };
    expect(explore(endless, { limit: 100 })).toMatchObject({ truncated: true, findings: [] });
  });
});
