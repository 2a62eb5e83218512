import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtCli, type Cli, eventually, temporaryFolder } from './support.ts';

let cli: Cli;

beforeAll(async () => {
  cli = await builtCli();
}, 120_000);

afterAll(() => cli.clean());

async function logIn(link: string): Promise<{ url: string; cookie: string; status: number }> {
  const [url = '', token = ''] = link.split('/#login=');
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/api/login`, { method: 'POST', headers, body: JSON.stringify({ token }) });
  return { url, status: answer.status, cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? '' };
}

async function isThere(url: string): Promise<boolean> {
  return fetch(`${url}/healthz`).then(
    () => true,
    () => false,
  );
}

describe('the console', () => {
  it('of proctor up lets in with the link once, keeps sessions over a restart, and goes when up is killed', async () => {
    const { dir, remove } = await temporaryFolder();
    const args = ['--dir', dir, '--port', '0', '--console-port', '0', '--json'];
    const first = cli.start(['up', ...args]);
    const page = await eventually('the page', async () => (/"login":"([^"]+)"/.exec(first.out()) ?? [])[1]);
    const { url, cookie, status } = await logIn(page);
    expect(status).toBe(200);
    expect((await logIn(page)).status).toBe(401);
    const me = await fetch(`${url}/api/me`, { headers: { cookie } });
    expect(await me.json()).toMatchObject({ role: 'operator', file: null });
    first.child.kill('SIGKILL');
    await eventually('the page is gone', async () => !(await isThere(url)));
    const second = cli.start(['up', ...args]);
    const link = await eventually('the page again', async () => (/"login":"([^"]+)"/.exec(second.out()) ?? [])[1]);
    const again = link.split('/#login=')[0] ?? '';
    expect((await fetch(`${again}/api/me`, { headers: { cookie } })).status).toBe(200);
    second.child.kill('SIGTERM');
    expect((await second.ended).code).toBe(0);
    expect(await isThere(again)).toBe(false);
    await remove();
  }, 90_000);

  it('refuses to be seen from other machines by nobody in particular', async () => {
    const { dir, remove } = await temporaryFolder();
    const file = await cli.run(['console', '--file', `${dir}/none.json`]);
    expect(file).toMatchObject({ code: 1 });
    expect(file.err).toContain('cannot be read');
    const half = await cli.run(['console', '--proxy-header', 'X-User', '--dir', dir]);
    expect(half.code).toBe(2);
    await remove();
  });
});
