import { createHmac } from 'node:crypto';
import { stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, eventually, type Folder, type Ran, temporaryFolder } from './support.ts';

/** Approvals and keys from the command line, against one `proctor up`. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let dir: string;

const AGENT = `
name: writer
model: plan
tools: ["*"]
approvals:
  risk: [low, medium, high]
`;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  await writeFile(join(folder.dir, 'writer.yaml'), AGENT);
  const agents = ['--agents', join(folder.dir, 'writer.yaml')];
  await cli.start(['up', '--dir', dir, '--port', '0', '--user', 'default', ...agents]).says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

async function submit(expression: string): Promise<{ run: string; c: string }> {
  const task = { input: 'sum', plan: { steps: [{ id: 's', tool: 'calculate', args: { expression } }] } };
  const { out, err, code } = await cli.run(['submit', '-', '--agent', 'writer', '--dir', dir], {
    input: JSON.stringify(task),
  });
  expect(code, err).toBe(0);
  const run = out.trim();
  return eventually('a request', async () => {
    const open = JSON.parse((await proctor('approvals', 'ls', '--json')).last) as { run: string; c: string }[];
    return open.find((one) => one.run === run) ?? false;
  });
}

const ended = (run: string) =>
  eventually('an end', async () => {
    const { last } = await proctor('result', run, '--json');
    return (
      last.startsWith('{') &&
      (JSON.parse(last) as { status: string; answer: unknown; error: { reason: string } | null })
    );
  });

describe('proctor keys', () => {
  it('makes a key that only its owner can read, lists it, and revokes it', async () => {
    const made = await proctor('keys', 'new', 'kim', '--group', 'ops', '--user', 'default', '--why', 'on call');
    expect(made.out).toMatch(/^kim may decide for ops; the secret key is in .*approver-kim\.nk\.\n$/);
    expect((await stat(join(dir, 'keys/approver-kim.nk'))).mode & 0o777).toBe(0o600);
    expect((await proctor('keys')).out).toMatch(/kim +in force +ops +default +U[A-Z2-7]{55} +\S+: on call/);
    expect(await proctor('keys', 'new', 'kim')).toMatchObject({
      code: 2,
      err: expect.stringContaining('is there already'),
    });
    const taken = await proctor('keys', 'new', 'kim', '--out', join(folder.dir, 'kim2.nk'));
    expect(taken).toMatchObject({ code: 1, err: expect.stringContaining('kim has a key already') });
    await expect(stat(join(folder.dir, 'kim2.nk'))).rejects.toThrow();
    expect((await proctor('keys', 'revoke', 'kim', '--why', 'left')).out).toBe('The key of kim is revoked.\n');
    expect((await proctor('keys', 'ls')).out).toMatch(/kim +revoked/);
    expect((await proctor('keys', 'revoke', 'kim')).err).toContain('revoked already');
    expect((await proctor('keys', 'new', 'two words')).code).toBe(2);
  });
});

describe('proctor approvals', () => {
  it('lists, shows exactly, approves with other arguments, and says why a word does not count', async () => {
    expect((await proctor('keys', 'new', 'ann')).code).toBe(0);
    const { run, c } = await submit('20 + 1');
    expect((await proctor('approvals')).out).toMatch(
      new RegExp(`${run} +${c} +calculate +\\{"expression":"20 \\+ 1"\\} +low`),
    );
    const shown = await proctor('approvals', 'show', run, c);
    expect(shown.out).toContain('"expression": "20 + 1"');
    expect(shown.out).toContain('its risk is low');
    expect((await proctor('why', run)).out).toMatch(/an approver of the group approvers: .*approvals approve\|deny/);
    const stranger = await proctor('approvals', 'approve', run, c, '--as', 'bea');
    expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining('approver-bea.nk cannot be read') });
    const forged = await proctor(
      'approvals',
      'approve',
      run,
      c,
      '--as',
      'bea',
      '--key',
      join(dir, 'keys/approver-ann.nk'),
    );
    expect(forged).toMatchObject({ code: 1, err: expect.stringContaining('nobody is known as "bea"') });
    const unfit = await proctor('approvals', 'approve', run, c, '--as', 'ann', '--args', '{"expression": 7}');
    expect(unfit).toMatchObject({ code: 1, err: expect.stringContaining('edited.args') });
    const right = await proctor('approvals', 'approve', run, c, '--as', 'ann', '--args', '{"expression": "6 * 7"}');
    expect(right).toMatchObject({ code: 0, out: `${run} ${c}  approved by ann\n` });
    expect((await ended(run)).status).toBe('completed');
    const late = await proctor('approvals', 'approve', run, c, '--as', 'ann');
    expect(late).toMatchObject({ code: 1, err: expect.stringContaining('waits for no approval') });
    expect((await proctor('trace', run)).out).toMatch(/approved with other arguments by ann/);
    const refused = (await proctor('approvals', 'refused')).out;
    expect(refused).toMatch(/bea +unknown_approver/);
    expect(refused).toMatch(/ann +edited_invalid/);
  });

  it('denies with a reason, which it asks for', async () => {
    const { run, c } = await submit('1 + 1');
    expect((await proctor('approvals', 'deny', run, c, '--as', 'ann')).err).toContain('say why');
    const denied = await proctor('approvals', 'deny', run, c, '--as', 'ann', '--why', 'not today');
    expect(denied.out).toBe(`${run} ${c}  rejected by ann: not today\n`);
    expect((await ended(run)).error?.reason).toContain('ann said no: not today');
  });

  it('watches, and tells a webhook, signed and without secrets', async () => {
    const posts: { body: string; headers: Record<string, unknown> }[] = [];
    let failures = 1;
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        response.statusCode = failures-- > 0 ? 503 : 204;
        if (response.statusCode === 204) posts.push({ body, headers: request.headers });
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const secret = 'a secret of the two of them';
    await writeFile(join(folder.dir, 'hook.secret'), `${secret}\n`);
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    const args = ['--webhook', url, '--secret-file', join(folder.dir, 'hook.secret')];
    const watching = cli.start(['approvals', 'watch', ...args, '--dir', dir]);
    await watching.says('Ctrl-C');
    const { run, c } = await submit('3 + token=sk-abcdefghijklmnopqrstuvwx');
    await watching.says(`${run} ${c}  calculate`);
    const post = await eventually('a post', async () => posts[0] ?? false);
    const { 'proctor-timestamp': at, 'proctor-signature': signature } = post.headers;
    const hmac = createHmac('sha256', secret)
      .update(`${String(at)}.${post.body}`)
      .digest('hex');
    expect(signature).toBe(`sha256=${hmac}`);
    expect(JSON.parse(post.body)).toMatchObject({
      v: 1,
      type: 'approval.request',
      request: { run, c, tool: 'calculate' },
    });
    expect(post.body).not.toContain('sk-abcdef');
    await proctor('approvals', 'deny', run, c, '--as', 'ann', '--why', 'no');
    await watching.says('rejected by ann: no');
    await eventually('the word of it', async () => posts.some(({ body }) => body.includes('"rejected"')));
    watching.child.kill('SIGINT');
    expect((await watching.ended).code).toBe(0);
    server.close();
    const unsafe = await proctor('approvals', 'watch', '--webhook', 'http://chat.example.com/x', ...args.slice(2));
    expect(unsafe).toMatchObject({ code: 2, err: expect.stringContaining('https') });
  });
});
