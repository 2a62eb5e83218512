import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuiltDrills, buildDrills } from './build.ts';

let drills: BuiltDrills;
let dir: string;

beforeAll(async () => {
  [drills, dir] = await Promise.all([buildDrills(), mkdtemp(join(tmpdir(), 'proctor-bench-'))]);
});

afterAll(async () => {
  await Promise.all([drills.remove(), rm(dir, { recursive: true, force: true })]);
});

describe('the crash drill', () => {
  it('kills nodes at distinct points and finds nothing lost, repeated or different', { timeout: 120_000 }, async () => {
    const points = [
      'claim.written',
      'entry.written',
      'call.started',
      'call.sent',
      'park.written',
      'inbox.activated',
      'delegate.child_written',
      'end.result_stored',
    ];
    const args = ['--crashes', '8', '--seed', '11', '--points', points.join(), '--server-kills', '0', '--zombies', '0'];
    const { code, figures, said } = await drills.run('crash', args);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({
      crashes: 8,
      nodeKills: 8,
      lostSteps: 0,
      divergedTraces: 0,
      repeatedIdempotentEffects: 0,
      repeatedNonIdempotentEffects: 0,
      withoutResult: 0,
      deadLetters: 0,
    });
    expect(figures.runs).toBeGreaterThan(8);
    const deaths = Object.values(figures.perPoint as Record<string, number>).filter((count) => count > 0);
    expect(deaths.length).toBeGreaterThanOrEqual(6);
  });

  it('brings all runs to their end after the server was killed', { timeout: 120_000 }, async () => {
    const args = ['--crashes', '2', '--seed', '3', '--lanes', '1', '--server-kills', '1'];
    const { code, figures, said } = await drills.run('crash', args);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ serverKills: 2, lostSteps: 0, divergedTraces: 0, withoutResult: 0 });
  });
});

describe('the drill of approvals', () => {
  it('tries every attack, and none succeeds', { timeout: 120_000 }, async () => {
    const { code, figures, said } = await drills.run('drill', ['approvals', '--rounds', '1']);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ attacks: 19, succeeded: 0, notAudited: 0, harmed: 0 });
  });

  it('fails when the nodes believe every signature', { timeout: 120_000 }, async () => {
    const { code, figures } = await drills.run('drill', ['approvals', '--rounds', '1', '--sabotage']);
    expect(code).toBe(1);
    expect(figures.succeeded).toBeGreaterThanOrEqual(2);
    expect(figures.refusedAs).toMatchObject({ forged: 'none', 'edited after signing': 'none' });
  });
});

describe('the drill of budgets', () => {
  const args = ['budget', '--processes', '4', '--runs', '200'];

  it('kills half of the processes, and the budget and the ledger hold', { timeout: 120_000 }, async () => {
    const { code, figures, said } = await drills.run('drill', args);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ killed: 2, overshoot: 0, ledgerDifference: 0, unaccounted: 0, withoutResult: 0 });
    expect(figures.lost).toBeGreaterThan(0);
    expect(figures.calls).toBeGreaterThan(figures.granted as number);
    expect(figures.refused).toBeGreaterThan(0);
  });

  it('fails when the nodes take every refusal for a grant', { timeout: 120_000 }, async () => {
    const { code, figures } = await drills.run('drill', [...args, '--sabotage']);
    expect(code).toBe(1);
    expect(figures.overshoot).toBeGreaterThan(0);
    expect(figures.callsWithoutReservation).toBeGreaterThan(0);
  });
});

describe('the replay', () => {
  const rows = (count: number) =>
    Array.from({ length: count }, (_, row) => ({
      id: `made-up-${row}`,
      steps: [
        { tool: 'search', args: { q: `thing ${row}` }, result: `found ${row}`, error: false },
        { tool: 'a tool: with spaces', args: { nested: { row, list: [1, null] } }, result: { text: 'ö' }, error: true },
        { tool: 'search', args: { q: `thing ${row}` }, result: null },
      ],
    }));
  const jsonLines = (items: unknown[]) => items.map((item) => JSON.stringify(item)).join('\n');

  it('makes the recorded calls in order, under names that had to be mapped too', { timeout: 120_000 }, async () => {
    const data = join(dir, 'rows.jsonl.gz');
    await writeFile(data, gzipSync(jsonLines(rows(12))));
    const { code, figures } = await drills.run('replay', ['--data', data, '--limit', '10']);
    expect(code).toBe(0);
    expect(figures).toMatchObject({ runs: 10, mismatches: 0, steps: 30, mappedToolNames: 1 });
  });

  it('replays recorded runs when there are some', { timeout: 120_000 }, async ({ skip }) => {
    // biome-ignore lint/style/noProcessEnv: where the data lies is the environment's word
    const data = process.env.PROCTOR_REPLAY_DATA ?? '';
    if (!existsSync(data)) {
      process.stderr.write('\nNOT RUN: no recorded runs; name a file of them in PROCTOR_REPLAY_DATA\n');
      skip('no recorded runs; name a file of them in PROCTOR_REPLAY_DATA');
    }
    const { code, figures } = await drills.run('replay', ['--data', data, '--limit', '20']);
    expect(code).toBe(0);
    expect(figures).toMatchObject({ runs: 20, mismatches: 0 });
  });

  it('says which file is missing and ends with 2', async () => {
    const { code, said } = await drills.run('replay', ['--data', join(dir, 'nowhere.jsonl')]);
    expect(code).toBe(2);
    expect(said).toContain('nowhere.jsonl');
  });
});

describe('the fuzzer', () => {
  it('gets an end or a reason for each hostile task', { timeout: 120_000 }, async () => {
    const { code, figures, said } = await drills.run('fuzz', ['--tasks', '300', '--seed', '5']);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ tasks: 300, lost: 0, nodeUp: true });
    expect(Number(figures.accepted) + Number(figures.deadLettered)).toBe(300);
    expect(figures.accepted).toBeGreaterThan(30);
    expect(figures.deadLettered).toBeGreaterThan(30);
  });
});

describe('the benchmarks', () => {
  it('write as many bytes for the last steps of a long run as for the first', { timeout: 120_000 }, async () => {
    const { figures } = await drills.run('main', ['long-run', '--steps', '200', '--repeats', '1']);
    expect(figures).toMatchObject({ steps: 200, repeats: 1 });
    expect(figures.ratioBytes).toBeLessThanOrEqual(1.2);
    expect(figures.snapshotMaxBytes).toBeGreaterThan(0);
  });

  it('store large results of many runs at once, none lost or damaged', { timeout: 120_000 }, async () => {
    const { code, figures } = await drills.run('main', ['results', '--count', '6', '--bytes', '1300000']);
    expect(code).toBe(0);
    // Two quotes around each text.
    expect(figures).toMatchObject({ results: 6, bytes: 6 * 1_300_002, errors: 0, peakMb: expect.any(Number) });
  });

  it('measure every series and write them into the document', { timeout: 90_000 }, async () => {
    await mkdir(join(dir, 'docs'));
    await writeFile(join(dir, 'docs', 'measurements.md'), '# Measurements\n\nkept\n');
    const quick = ['--concurrency', '4', '--seconds', '0.3', '--warmup', '0.3', '--rounds', '1', '--write'];
    const { code, figures } = await drills.run('main', ['steps', ...quick], dir);
    expect(code).toBe(0);
    for (const series of ['proctorInProcess', 'proctorNats', 'bareStock', 'bareBest']) {
      const cells = figures[series] as Record<string, Record<string, number>>;
      expect(cells['4']).toMatchObject({
        stepsPerSecond: expect.any(Number),
        p50Ms: expect.any(Number),
        p99Ms: expect.any(Number),
        cpuUsPerStep: expect.any(Number),
        peakMb: expect.any(Number),
      });
      expect(cells['4']?.stepsPerSecond).toBeGreaterThan(0);
    }
    const text = await readFile(join(dir, 'docs', 'measurements.md'), 'utf8');
    expect(text).toMatch(
      /kept\n[\s\S]*<!-- bench-steps:begin -->[\s\S]*### proctorInProcess[\s\S]*<!-- bench-steps:end -->/,
    );
  });
});

describe('the supervision cases', () => {
  it('are run at both levels, those that ship and those that others wrote', { timeout: 120_000 }, async () => {
    const shipped = await drills.run('otp', ['--only', 'C34', 'C43']);
    expect(shipped).toEqual({
      code: 0,
      figures: { core: { passed: 2, failed: 0 }, tree: { passed: 2, failed: 0 } },
      said: '',
    });
    const file = join(dir, 'cases.json');
    const die = { do: 'die', child: 'a', reason: 'x' };
    const cases = [
      { id: 'right', setup: '1f1 a', steps: [{ ...die, log: ['+a'] }] },
      { id: 'wrong', setup: '1f1 a', steps: [{ ...die, log: [] }] },
    ];
    await writeFile(file, JSON.stringify(cases));
    const theirs = await drills.run('otp', ['--cases', file]);
    expect(theirs).toMatchObject({
      code: 1,
      figures: { core: { passed: 1, failed: 1 }, tree: { passed: 1, failed: 1 } },
    });
    expect(theirs.said).toContain('FAILED wrong (core): step 1 (die): log: expected [], got ["+a"]');
  });
});

describe('the drill of whole trees', () => {
  it('finds nothing late, though runs attach after the order; and what is late when something is', {
    timeout: 120_000,
  }, async () => {
    const { code, figures, said } = await drills.run('main', ['kill-tree', '--tries', '3']);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ tries: 3, lateEffects: 0, unacknowledged: 0 });
    expect(figures.attachedLate).toBeGreaterThan(0);
    const late = await drills.run('main', ['kill-tree', '--tries', '1', '--late-ms', '1500']);
    expect(late.code).toBe(1);
    expect(late.figures.lateEffects).toBeGreaterThan(0);
  });
});

describe('the drill of kill switches', () => {
  it('sees each order known and read by every node, and nothing that begins after it', {
    timeout: 240_000,
  }, async () => {
    const { figures } = await drills.run('main', ['kill', '--kills', '24', '--nodes', '2', '--runs', '20']);
    // How soon is the machine's word.
    expect(figures).toMatchObject({
      kills: 24,
      lateEffects: 0,
      nodes: 2,
      perScope: { agent: 2, model: 1, run: 17, tool: 1, user: 3 },
      knownP99Ms: expect.any(Number),
      readP99Ms: expect.any(Number),
      acknowledgedP99Ms: expect.any(Number),
    });
    expect(figures.effects).toBeGreaterThan(20);
    expect(figures.knownP50Ms).toBeLessThanOrEqual(Number(figures.readP50Ms));
  });
});

describe('the drill of parked runs', () => {
  it('parks them, measures a node beside none and beside all, and wakes some', { timeout: 240_000 }, async () => {
    const { figures } = await drills.run('main', ['parked', '--parked', '60', '--wakes', '10', '--seconds', '0.5']);
    expect(figures).toMatchObject({ parked: 60, waitForPerson: 30, wakes: 10, wakeP99Ms: expect.any(Number) });
    for (const name of ['rssMbWithout', 'rssMbWith', 'startMsWithout', 'startMsWith']) {
      expect(figures[name]).toBeGreaterThan(10);
    }
  });
});

describe('the drill of several nodes', () => {
  it('counts the steps of one and of two, and starts single tasks beside many', { timeout: 240_000 }, async () => {
    const args = ['scaling', '--nodes', '1,2', '--seconds', '0.5', '--slots', '4', '--many', '500', '--ones', '3'];
    const { figures } = await drills.run('main', args);
    expect(figures).toMatchObject({ slotsPerNode: 4, ones: 3, oneStartsMaxMs: expect.any(Number) });
    expect(figures.stillQueued).toBeGreaterThan(0);
    const nodes = figures.nodes as Record<string, Record<string, number>>;
    expect(nodes['1']).toMatchObject({ efficiency: 1 });
    expect(nodes['1']?.stepsPerSecond).toBeGreaterThan(0);
    expect(nodes['2']?.stepsPerSecond).toBeGreaterThan(0);
  });
});
