import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtPage } from '../console/support.ts';
import { type BuiltDrills, buildDrills } from './build.ts';

/** The benchmarks of the console in small: that they see what they count, and not how fast this machine is. */

let drills: BuiltDrills;
let page: ReturnType<typeof builtPage>;

beforeAll(async () => {
  page = builtPage();
  drills = await buildDrills();
}, 120_000);

afterAll(() => Promise.all([drills?.remove(), page?.remove()]));

describe('the benchmark of very many runs', () => {
  it('finds in the page what it filled in', { timeout: 240_000 }, async () => {
    const args = ['many-runs', '--runs', '600', '--changes', '20', '--rounds', '1', '--assets', page.assets];
    const { figures, said } = await drills.run('main', args);
    expect(figures, said).toMatchObject({ runs: 600 });
    const did = ['open', 'filter', 'unfilter', 'search', 'unsearch', 'sortByAge', 'unsort', 'scroll'];
    expect(new Set(Object.keys(figures.page as object))).toEqual(new Set(did));
    expect(figures.changesPerSecond).toBeGreaterThan(0);
  });
});

describe('the benchmark of live runs', () => {
  it('keeps runs live, and sees what its pages are told', { timeout: 240_000 }, async () => {
    const size = ['--runs', '30', '--nodes', '1', '--step-ms', '500', '--minutes', '0.3', '--warmup', '1'];
    const { figures, said } = await drills.run('main', ['live-runs', ...size, '--assets', page.assets]);
    expect(figures, said).toMatchObject({ live: 30 });
    // How many there is time for is the machine's business.
    expect(figures.samples).toBeGreaterThanOrEqual(1);
    for (const name of ['runs', 'overview']) {
      const { updates, scriptP50Ms, taskP50Ms } = (figures.page as Record<string, Record<string, number>>)[name] ?? {};
      expect(updates, name).toBeGreaterThan(3);
      expect(scriptP50Ms, name).toBeGreaterThan(0);
      expect(taskP50Ms, name).toBeGreaterThanOrEqual(scriptP50Ms ?? Number.NaN);
    }
  });
});

describe('the benchmark of watched runs', () => {
  it('has tabs that hear of every entry, and none while nobody looks', { timeout: 240_000 }, async () => {
    // More runs than the gateway keeps that nobody watches.
    const size = ['--runs', '30', '--steps', '6', '--rivals', '1', '--blocks', '2', '--warmup', '1'];
    const { figures, said } = await drills.run('main', ['watched', ...size]);
    expect(figures, said).toMatchObject({ alone: { frames: 0 } });
    expect(figures.heard).toBe(1);
  });
});
