import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loopFigures } from '../../bench/loops/drill.ts';
import { type Row, readLabelledRows } from '../../bench/loops/rows.ts';
import { verdictsOf } from '../../bench/loops/watch-row.ts';
import { seeded } from '../../bench/support/random.ts';
import { DEFAULT_LOOP_SETTINGS } from '../../src/core/loops.ts';
import { type BuiltDrills, buildDrills } from './build.ts';

let dir: string;
let drills: BuiltDrills;

beforeAll(async () => {
  [drills, dir] = await Promise.all([buildDrills(), mkdtemp(join(tmpdir(), 'proctor-loops-'))]);
});

afterAll(async () => {
  await Promise.all([drills.remove(), rm(dir, { recursive: true, force: true })]);
});

/** Step `q` of a made-up run: equal numbers, equal steps. */
const step = (q: number) => ({
  tool: 'search',
  args: { q: `thing ${q}` },
  ah: `a${q}`,
  result: `found ${q}`,
  rh: `r${q}`,
  error: false,
});

const run = (
  id: string,
  domain: string,
  success: boolean,
  steps: number[],
  chain?: { at: number[]; longest: number },
) => ({
  id,
  domain,
  success,
  labels: chain === undefined ? {} : { repetition_steps: chain.at, max_repetition_chain: chain.longest },
  steps: steps.map(step),
});

const jsonLines = (rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n');

describe('the benchmark of loop detection', () => {
  const replay = [
    run('good', 'desk', true, [1, 2, 3, 4]),
    run('bad', 'desk', false, [1, 2, 2, 2, 2, 2, 2, 2, 2, 3]),
    run('good and long', 'shell', true, [1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 9]),
  ];
  const loops = [
    run('loops', 'se-a', false, [1, 2, 2, 2, 3], { at: [2, 3], longest: 2 }),
    run('does not', 'se-b', true, [1, 1, 2], { at: [1], longest: 1 }),
    run('missed', 'se-b', false, [1, 2, 3, 4], { at: [2, 3], longest: 2 }),
  ];

  it('counts false alarms at each rung, labelled loops that are found, and steps saved', async () => {
    await writeFile(join(dir, 'replay.jsonl.gz'), gzipSync(jsonLines(replay)));
    await writeFile(join(dir, 'loops.jsonl'), jsonLines(loops));
    const { code, figures, said } = await drills.run('main', ['loops', '--data', dir]);
    expect({ code, said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ runs: 6, runF1: 0.667, stopOnSuccess: 0, stopOnLongSuccess: 0 });
    // Steps 2 and 3 of `loops` are found; of the others labelled three are not.
    expect(figures).toMatchObject({ stepF1: 0.571, labelled: { 'steps, warn': { precision: 1, recall: 0.4 } } });
    const byDomain = figures.byDomain as Record<string, Record<string, number>>;
    // The seventh of eight like steps is not made any more, nor what came after.
    expect(byDomain.desk).toMatchObject({ ok_warn: 0, failed_stop: 1, steps_saved: 3 });
    expect(byDomain.shell).toMatchObject({ succeeded: 1, ok_warn: 1, ok_nudge: 0 });
  });

  it('is violated when too many runs that succeeded would be stopped', async () => {
    const other = await mkdtemp(join(dir, 'other-'));
    await writeFile(join(other, 'replay.jsonl'), jsonLines([run('unlucky', 'desk', true, [1, 1, 1, 1, 1, 1, 1, 2])]));
    await writeFile(join(other, 'loops.jsonl'), jsonLines(loops));
    const { code, figures, said } = await drills.run('main', ['loops', '--data', other]);
    expect(code).toBe(1);
    expect(figures.stopOnSuccess).toBe(0.5);
    expect(said).toContain('VIOLATED: stopOnSuccess is 0.5; 0.003 at most');
  });

  it('says which file is missing', async () => {
    const { code, said } = await drills.run('main', ['loops', '--data', join(dir, 'nowhere')]);
    expect(code).not.toBe(0);
    expect(said).toContain('replay.jsonl');
  });
});

describe('loop detection on recorded runs', () => {
  // biome-ignore lint/style/noProcessEnv: where the data lies is the environment's word
  const data = process.env.PROCTOR_LOOPS_DATA ?? '';
  const recorded = (skip: (why: string) => never): Row[] => {
    if (!existsSync(data)) {
      const why = 'no recorded runs; name a folder with replay.jsonl and loops.jsonl in PROCTOR_LOOPS_DATA';
      process.stderr.write(`\nNOT RUN: ${why}\n`);
      skip(why);
    }
    return readLabelledRows(data);
  };

  it('finds most labelled loops, and stops hardly a run that succeeded', ({ skip }) => {
    recorded(skip);
    const figures = loopFigures(data) as Record<string, number>;
    expect(figures.runF1).toBeGreaterThanOrEqual(0.85);
    expect(figures.stopOnSuccess).toBeLessThanOrEqual(0.003);
    expect(figures.stopOnLongSuccess).toBeLessThanOrEqual(0.02);
  }, 120_000);

  it('catches a cycle of 1 to 5 recorded steps, repeated at a known place of another run, by its third round', ({
    skip,
  }) => {
    const rows = recorded(skip).filter((row) => row.steps.length >= 5);
    const random = seeded(7);
    for (let i = 0; i < 2_000; i++) {
      const host = random.pick(rows);
      const donor = random.pick(rows);
      const period = 1 + (i % 5);
      const cycle = donor.steps.slice(0, period);
      const at = random.int(host.steps.length);
      const steps = [...host.steps.slice(0, at), ...cycle, ...cycle, ...cycle];
      const caught = verdictsOf({ ...host, steps }, DEFAULT_LOOP_SETTINGS, false).at(-1);
      expect(caught, `${host.id} with ${donor.id} at ${at}`).not.toBeNull();
    }
  }, 120_000);
});
