import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BuiltDrills, buildDrills } from './build.ts';

/** The chaos drill in small, and that it notices what it is there to notice. */

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

let drills: BuiltDrills;

beforeAll(async () => {
  drills = await buildDrills();
});

afterAll(() => drills.remove());

describe('the chaos drill', () => {
  it('kills, stops and cuts off what it can, and finds nothing lost or repeated', async () => {
    const args = ['--minutes', '0.5', '--nodes', '3', '--rate', '6', '--seed', '7', '--settle', '120'];
    const { code, figures, said } = await drills.run('chaos', args);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({
      lost: 0,
      stuck: 0,
      duplicateResults: 0,
      repeatedIdempotentEffects: 0,
      repeatedNonIdempotentEffects: 0,
      lostSteps: 0,
    });
    expect(figures.accepted).toBeGreaterThan(20);
    expect(Object.values(figures.faults as Record<string, number>).reduce((sum, n) => sum + n)).toBeGreaterThan(3);
  });

  const broken = ['--minutes', '0.2', '--nodes', '3', '--rate', '20', '--seed', '3'];

  it('fails when runs leave the queue before they have ended', async () => {
    const { code, figures, said } = await drills.run('chaos', [...broken, '--settle', '10', '--break', 'ack']);
    expect([code, figures.lost]).toEqual([1, expect.any(Number)]);
    expect(figures.lost).toBeGreaterThan(0);
    expect(said).toContain('VIOLATED: lost: ');
    expect(said).toContain('no end: ');
  });

  it('fails when a sink takes an effect twice', async () => {
    const { code, figures, said } = await drills.run('chaos', [...broken, '--settle', '120', '--break', 'keys']);
    expect([code, figures.lost]).toEqual([1, 0]);
    expect(figures.repeatedIdempotentEffects).toBeGreaterThan(0);
    expect(said).toContain('VIOLATED: repeatedIdempotentEffects: ');
  });
});

describe('a node that is cut off', () => {
  it('begins nothing new, loses its runs to others, changes nothing when it is back, and works on', async () => {
    const { code, figures, said } = await drills.run('chaos', ['partition']);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(figures).toMatchObject({ effectsWithoutOwnership: 0, effectsAfterFrozen: 0, results: 80 });
    expect(figures.mostEffectsOfARunAfterTheCut).toBeLessThanOrEqual(1);
    expect(figures.wentOnElsewhere).toBe(figures.ownedRuns);
    expect(figures.fencedRuns).toBeGreaterThan(0);
    expect(figures.ownedRuns).toBeGreaterThan(0);
  });
});
