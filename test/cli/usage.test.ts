import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtCli, type Cli, type Folder, temporaryFolder } from './support.ts';

/** What can be said without a server: help, wrong usage, and that nothing runs. */

const COMMANDS = [
  ...['up', 'submit', 'ps', 'show', 'trace', 'result', 'cancel', 'pause', 'resume', 'resolve', 'doctor', 'version'],
  ...['quarantine retry', 'quarantine fail', 'deadletter ls', 'deadletter show', 'deadletter retry'],
  ...['agents ls', 'agents show', 'agents check', 'agents put'],
  ...['watch', 'retry', 'continue', 'tools ls', 'tools show', 'health', 'why'],
];
const RUN = '20260101-abc-1';

let cli: Cli;
let folder: Folder;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

describe('help', () => {
  it('of the program lists every command, the environment and the exit codes', async () => {
    const { code, out } = await cli.run(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^  ${command.split(' ')[0]} `, 'm'));
    expect(out).toContain('NATS_URL');
    expect(out).toContain('Exit codes');
  });

  it('of every command has an example of it, --json and the exit codes', async () => {
    const helps = [];
    for (const command of COMMANDS) helps.push({ command, ...(await cli.run([...command.split(' '), '--help'])) });
    for (const { command, code, out } of helps) {
      expect(code, command).toBe(0);
      expect(out, command).toMatch(new RegExp(`Examples:\\n(?:.*\\n)*?  .*proctor ${command}`));
      expect(out, command).toContain('--json');
      expect(out, command).toContain('Exit codes');
    }
  }, 120_000);
});

describe('wrong usage', () => {
  it.each([
    [['ps', '--nope'], 'unknown option'],
    [['wacth', RUN], 'Did you mean watch?'],
    [['cancel'], 'name a run, or say which'],
    [['cancel', RUN, '--agent', 'plan'], 'not both'],
    [['ps', '--older-than', 'yesterday'], 'a time such as 2s'],
    [['deadletter', 'retry'], 'by their ids, or say which'],
    [['continue', RUN, '--usd', 'much'], 'a number such as 2 or 0.5'],
    [['nope'], 'unknown command'],
    [['show'], 'missing required argument'],
    [['show', 'not-a-run'], "run 'not-a-run' is invalid. Expected a run id"],
    [['agents', 'nope'], 'unknown sub-command'],
    [['submit', 'no-such-task.json'], 'there is no file no-such-task.json'],
    [['submit', 'examples'], 'examples is a folder'],
    [['ps', '--limit', '0'], 'whole number from 1'],
    [['up', '--lease', '10'], 'a time such as 2s'],
    [['up', '--lease', '1ms'], 'from 500 ms'],
    [['up', '--log-level', 'loud'], 'Allowed choices'],
    [['resolve', RUN, '1-0'], 'one of --done, --repeat, --fail'],
    [['resolve', RUN, '1-0', '--fail'], '--why'],
    [['resolve', RUN, '1-0', '--done', '--fail'], 'cannot be used with'],
    [['resolve', RUN, 'x', '--done'], 'Expected a call id'],
  ])('%j exits 2 with one line on stderr', async (args, text) => {
    const { code, out, err } = await cli.run(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^proctor: [^\n]+\n$/);
    expect(err).toContain(text);
  });

  it('without a command shows the help on stderr and exits 2', async () => {
    const { code, out, err } = await cli.run([]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('Usage: proctor');
  });
});

describe('up --pricing', () => {
  it.each([
    ['a file that is not there', null, /^proctor: there is no file \S*no-such\.yaml\.$/m],
    [
      'every fault of a file',
      '- {model: a, from: soon, input: -1, output: 1}',
      /prices\.0\.from: .*prices\.0\.input: /,
    ],
  ])('names %s, and nothing starts', async (_, prices, message) => {
    const file = join(folder.dir, prices === null ? 'no-such.yaml' : 'prices.yaml');
    if (prices !== null) await writeFile(file, `prices:\n${prices}`);
    const { code, err } = await cli.run(['up', '--dir', join(folder.dir, 'data'), '--pricing', file]);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(existsSync(join(folder.dir, 'data'))).toBe(false);
  });
});

describe('where nothing runs', () => {
  it.each([
    [['ps']],
    [['show', RUN]],
    [['trace', RUN]],
    [['watch', RUN]],
    [['health']],
    [['why', RUN]],
    [['result', RUN]],
    [['cancel', RUN]],
    [['submit', 'examples/tasks/first.json']],
    [['deadletter', 'ls']],
  ])('%j exits 3 and says what to type', async (args) => {
    const { code, out, err } = await cli.run([...args, '--dir', folder.dir]);
    expect([code, out]).toEqual([3, '']);
    expect(err).toMatch(/^proctor: nothing runs in .* up" .*\n$/);
  });

  it('a server that cannot be reached exits 3 without showing the password', async () => {
    const env = { NATS_URL: 'nats://u:hunter2hunter2@127.0.0.1:1' };
    const { code, err } = await cli.run(['ps'], { env });
    expect(code).toBe(3);
    expect(err).toMatch(/^proctor: cannot reach NATS at .*127\.0\.0\.1:1.*\n$/);
    expect(err).not.toContain('hunter2');
  });

  it('an address of another kind of server exits 2 and says what was expected', async () => {
    const { code, err } = await cli.run(['ps'], { env: { NATS_URL: 'http://127.0.0.1:4222' } });
    expect([code, err]).toEqual([2, expect.stringMatching(/^proctor: NATS_URL: expected .*nats:\/\/host:4222.*\n$/)]);
  });

  it('doctor fails, and version tells its own', async () => {
    const doctor = await cli.run(['doctor', '--dir', folder.dir]);
    expect(doctor.code).toBe(1);
    expect(doctor.out).toMatch(/^FAIL {2}server: nothing runs/m);
    const version = await cli.run(['version', '--json', '--dir', folder.dir]);
    expect(JSON.parse(version.last)).toEqual({ proctor: '0.1.0', node: process.versions.node, server: null });
  });
});
