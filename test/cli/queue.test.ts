import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, type Folder, type Ran, temporaryFolder } from './support.ts';

/** The queue of people from the command line, against one `proctor up`; people who come at once are processes. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let dir: string;

const AGENT = `
name: desk
model: plan
tools: ["*"]
fallback:
  person: { queue: support }
  texts: { person: Somebody calls you. }
`;
const CALL = { tool: 'calculate', args: { expression: '6 * 7' } };
const TASK = {
  input: 'add up',
  limits: { steps: 1 },
  plan: {
    steps: [
      { id: 'a', ...CALL },
      { id: 'b', after: ['a'], ...CALL },
    ],
  },
};

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  await writeFile(join(folder.dir, 'desk.yaml'), AGENT);
  const agents = ['--agents', join(folder.dir, 'desk.yaml')];
  await cli.start(['up', '--dir', dir, '--port', '0', '--user', 'default', ...agents]).says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

/** Hands in a task that ends in the queue; the id of its run. */
async function queued(): Promise<string> {
  const ran = await cli.run(['submit', '-', '--agent', 'desk', '--wait', '--json', '--dir', dir], {
    input: JSON.stringify(TASK),
  });
  const result = JSON.parse(ran.last) as { run: string; code: string };
  expect([ran.code, result.code]).toEqual([1, 'queued_for_human']);
  return result.run;
}

describe('proctor queue', () => {
  it('says that nothing waits, and what is wrong with what it was asked', async () => {
    expect((await proctor('queue')).out).toBe('Nothing waits for a person.\n');
    expect((await proctor('queue', 'ls', '--queue', 'other')).out).toBe('Nothing waits for a person in queue other.\n');
    expect(JSON.parse((await proctor('queue', 'ls', '--json')).last)).toEqual([]);
    expect(await proctor('queue', 'ls', '--queue', 'Two Words')).toMatchObject({
      code: 2,
      err: expect.stringContaining('1 to 32 of a-z'),
    });
    expect(await proctor('queue', 'claim', '20260101-none-1')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no run 20260101-none-1'),
    });
  });

  it('lists a run, shows it, lets one of two take it over, and tells what the person answered', async () => {
    const run = await queued();
    expect((await proctor('queue')).out).toMatch(
      new RegExp(`^${run} +support +desk +default +"add up" +max_steps +\\S.* +open$`, 'm'),
    );
    const shown = await proctor('queue', 'show', run);
    expect(shown.out).toMatch(/^found so far +.*42/m);
    expect(shown.out).toMatch(/^last steps +step 1 +tool_call +calculate ok/m);
    expect(shown.out).toMatch(/^what failed +steps max_steps: .*; then queue support$/m);
    expect((await proctor('why', run)).out).toMatch(
      /waits for a person in queue support; since .*nobody has claimed it/,
    );
    expect((await proctor('result', run)).out).toMatch(
      /^notice +Somebody calls you\.$[\s\S]*^person +nobody has answered/m,
    );

    const both = await Promise.all(['ann', 'bea'].map((name) => proctor('queue', 'claim', run, '--as', name)));
    expect(both.map(({ code }) => code).toSorted()).toEqual([0, 1]);
    const [winner, loser] = both[0]?.code === 0 ? ['ann', 'bea'] : ['bea', 'ann'];
    const refused = both.find(({ code }) => code === 1)?.err ?? '';
    expect(refused).toMatch(new RegExp(`${winner} has claimed run ${run} at .*queue release ${run}`));
    expect((await proctor('why', run)).out).toMatch(new RegExp(`claimed by ${winner} at`));

    const early = await proctor('queue', 'done', run, '--note', 'mine', '--as', loser);
    expect(early).toMatchObject({ code: 1, err: expect.stringContaining(`${winner} has claimed`) });
    expect((await proctor('queue', 'release', run, '--as', loser, '--why', 'they left')).out).toBe(
      `run ${run} of queue support: waits for a person again\n`,
    );
    expect(await proctor('queue', 'release', run)).toMatchObject({
      code: 1,
      err: expect.stringContaining('by nobody'),
    });
    expect(await proctor('queue', 'done', run)).toMatchObject({ code: 2, err: expect.stringContaining('--answer') });
    const done = await proctor('queue', 'done', run, '--answer', '{"sum":42}', '--note', 'by hand', '--by', loser);
    expect(done.out).toBe(`run ${run} of queue support: solved by ${loser}\n`);
    expect(await proctor('queue', 'claim', run, '--as', winner)).toMatchObject({
      code: 1,
      err: expect.stringMatching(new RegExp(`${loser} was done with run .*queue show RUN`)),
    });

    expect((await proctor('queue')).out).toBe('Nothing waits for a person.\n');
    expect((await proctor('queue', 'ls', '--all')).out).toContain(`solved by ${loser}`);
    expect((await proctor('queue', 'show', run)).out).toMatch(/released by \w+: they left\n.*done by \w+: by hand/);
    const result = await proctor('result', run);
    expect(result).toMatchObject({
      code: 1,
      out: expect.stringMatching(new RegExp(`^person +solved by ${loser} at`, 'm')),
    });
    expect(result.out).toContain('"sum": 42');
    expect(JSON.parse((await proctor('result', run, '--json')).last)).toMatchObject({
      status: 'failed',
      answer: null,
      person: { by: loser, outcome: 'solved', answer: { sum: 42 }, note: 'by hand' },
    });
    expect((await proctor('watch', run, '--user', 'default')).out).toMatch(/^person +solved by/m);
    expect((await proctor('why', run)).out).toMatch(new RegExp(`${loser} of queue support solved it`));
  });

  it('is done without a claim, also when the task could not be done', async () => {
    const run = await queued();
    const done = await proctor(
      'queue',
      'done',
      run,
      '--note',
      'no such order',
      '--not-solved',
      '--as',
      'ann',
      '--json',
    );
    expect(JSON.parse(done.last)).toMatchObject({
      ok: true,
      run,
      queue: 'support',
      standing: { outcome: 'not_solved' },
    });
    expect((await proctor('result', run)).out).toMatch(/^person +not solved by ann at .*\nnote +no such order$/m);
  });
});
