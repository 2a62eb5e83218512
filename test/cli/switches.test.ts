import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { runCommand } from '../../src/cli/program.ts';
import { builtCli, type Cli, eventually, type Folder, type Ran, temporaryFolder } from './support.ts';

/** Kill switches from the command line, against one `proctor up`. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let dir: string;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  await cli.start(['up', '--dir', dir, '--port', '0', '--user', 'default', '--name', 'one']).says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);
const LATER = JSON.stringify({
  input: 'later',
  not_before: '2090-01-01T00:00:00Z',
  plan: { steps: [{ id: 's', tool: 'calculate' }] },
});

async function parked(): Promise<string> {
  const { code, out, err } = await cli.run(['submit', '-', '--dir', dir], { input: LATER });
  expect(code, err).toBe(0);
  return out.trim();
}

const inState = (run: string, state: string) =>
  eventually(`${run} in ${state}`, async () => {
    const shown = JSON.parse((await proctor('show', run, '--json')).last) as { status: { state: string } };
    return shown.status.state === state;
  });

describe('proctor kill', () => {
  it('ends a run by its id, is listed with what it hit, and is lifted', async () => {
    const run = await parked();
    const killed = await proctor('kill', run, '--reason', 'runs in circles', '--by', 'olga');
    expect([killed.code, killed.out]).toEqual([
      0,
      expect.stringMatching(/^kill run:\S+: in force as revision \d+; 1 node confirmed it, no other acts\n$/),
    ]);
    expect(killed.err).toMatch(/^Lift it with: .* revive run:/);
    await inState(run, 'failed.killed');
    expect((await proctor('result', run)).out).toContain('runs in circles');
    const listed = await eventually('count', async () => {
      const { out } = await proctor('kill', 'ls');
      return out.includes('1 run') && out;
    });
    expect(listed).toMatch(new RegExp(`run:${run} +kill +olga +runs in circles +\\S.* +1 run`));
    expect((await proctor('revive', run, '--reason', 'looked at')).code).toBe(0);
    expect((await proctor('kill', 'ls')).out).toBe('No switch is in force.\n');
    const history = JSON.parse((await proctor('kill', 'ls', '--history', '--json')).last) as { mode: string }[];
    expect(history.map((one) => one.mode)).toEqual(['kill', 'revive']);
    const again = await proctor('revive', run, '--reason', 'x');
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('is in force; in force: none')]);
  });

  it('of everything wants --yes; every order wants a reason and a scope that makes sense', async () => {
    const cases: [string[], RegExp][] = [
      [['kill', 'global', '--reason', 'x'], /^proctor: kill global is about every run of every user: add --yes/],
      [['kill', 'agent:plan'], /^proctor: say why: add --reason TEXT/],
      [['drain', 'agents:plan', '--reason', 'x'], /^proctor: "agents:plan" is no scope/],
      [['pause', 'agents:plan'], /Expected a run id such as .*, or a scope/],
      [['kill'], /^proctor: name a scope, or list what is in force: proctor kill ls/],
    ];
    for (const [args, said] of cases) {
      const { code, out, err } = await proctor(...args);
      expect([code, out], err).toEqual([2, '']);
      expect(err).toMatch(said);
    }
    const unknown = await proctor('kill', '20200101-none-1', '--reason', 'x');
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('there is no run 20200101-none-1')]);
    expect((await proctor('kill', 'ls')).out).toBe('No switch is in force.\n');
  });

  it('asks a person at a terminal to type the scope', async () => {
    const said: string[] = [];
    const io: Io = {
      out: (text) => void said.push(text),
      err: (text) => void said.push(text),
      outIsTty: false,
      errIsTty: false,
      colours: false,
      ask: (question) => {
        said.push(question);
        return Promise.resolve(question.includes('user:bob') ? ' user:bob\n' : 'yes');
      },
    };
    const run = (...args: string[]) => runCommand(io, [...args, '--reason', 'x', '--dir', dir]);
    expect(await run('kill', 'agent:plan')).toBe(2);
    expect(said).toEqual([
      'This will kill agent:plan. Type the scope to confirm: ',
      'proctor: not confirmed: nothing was done.',
    ]);
    expect(await run('kill', 'user:bob')).toBe(0);
    expect(await run('revive', 'user:bob')).toBe(0);
  });
});

describe('proctor pause and drain', () => {
  it.each(['pause', 'drain'])('%s a scope until it is revived; why names the switch', async (mode) => {
    const run = await parked();
    await inState(run, 'idle.scheduled');
    expect((await proctor(mode, 'agent:plan', '--why', 'the API is down')).code).toBe(0);
    const why = await proctor('why', run);
    expect(why.out).toMatch(
      // Whether the run stands still already or is about to: the switch, who set it, why, and what lifts it.
      /the switch agent:plan .*by \S+.*: the API is down.*proctor revive agent:plan/,
    );
    const resumed = await proctor('resume', run);
    expect([resumed.code, resumed.err]).toEqual([1, expect.stringContaining('held by the switch agent:plan')]);
    expect((await proctor('revive', 'agent:plan', '--reason', 'it is back')).code).toBe(0);
    expect((await proctor('why', run)).out).not.toContain('switch');
    expect((await proctor('cancel', run)).code).toBe(0);
  });
});
