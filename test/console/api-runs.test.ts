import { expect, it } from 'vitest';
import { SILENT } from '../../src/app/local.ts';
import { runsApi } from '../../src/console/gateway/api-runs.ts';
import { Charts } from '../../src/console/gateway/charts.ts';
import { Follows } from '../../src/console/gateway/follows.ts';
import { RUN_CHART } from '../../src/console/gateway/run-chart.ts';
import { fileRuns } from '../../src/console/gateway/run-file.ts';
import { RunIndex } from '../../src/console/gateway/run-index.ts';

/** Addresses for reading, asked without a socket. */

it('marks every state of a saved chart that is active, also behind many of long names', async () => {
  const charts = new Charts();
  const hash = charts.add(RUN_CHART);
  const follows = new Follows(fileRuns({ v: 1, kind: 'proctor.run', run: '20260101-none-1', entries: [] }), SILENT);
  const app = runsApi({ index: new RunIndex(), follows, charts, now: () => 0 });
  const marked = async (active: string[]) => {
    const answer = await app.request(`/charts/${hash}/svg?detail=outline&active=${active.join()}`);
    return (await answer.text()).split(' active"').length - 1;
  };
  const long = Array.from({ length: 20 }, (_, n) => `elsewhere.${'x'.repeat(40)}.${n}`);
  expect(await marked(long)).toBe(0);
  expect(await marked([...long, 'thinking.deciding'])).toBe(await marked(['thinking.deciding']));
  expect(await marked(['thinking.deciding'])).toBeGreaterThan(0);
  follows.stop();
});
