import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtCli, type Cli, type Folder, temporaryFolder } from './support.ts';

let cli: Cli;
let folder: Folder;

beforeAll(async () => {
  [cli, folder] = await Promise.all([builtCli(), temporaryFolder()]);
}, 120_000);

afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const up = (...args: string[]) => ['up', '--dir', folder.dir, '--port', '0', '--json', ...args];

describe('proctor up --http', () => {
  it('answers on this machine as long as it runs, and says where', { timeout: 90_000 }, async () => {
    const node = cli.start(up('--http', '0'), { env: { PROCTOR_HTTP_TOKEN: '' } });
    await node.says('"http":"http://127.0.0.1:');
    const { http } = JSON.parse(node.out()) as { http: string };
    const ready = await fetch(`${http}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready' }]);
    expect((await fetch(`${http}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${http}/metrics`)).text()).toContain('agent_runs_active{agent="plan"');
    node.child.kill('SIGTERM');
    expect((await node.ended).code).toBe(0);
    await expect(fetch(`${http}/healthz`)).rejects.toThrow();
  });

  it('keeps /metrics for those who know the token', { timeout: 90_000 }, async () => {
    const node = cli.start(up('--http', '127.0.0.1:0'), { env: { PROCTOR_HTTP_TOKEN: 'a-token' } });
    await node.says('"http":"http://127.0.0.1:');
    const { http } = JSON.parse(node.out()) as { http: string };
    const status = async (headers: Record<string, string>) => (await fetch(`${http}/metrics`, { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status({ authorization: 'Bearer a-token' })).toBe(200);
    node.child.kill('SIGTERM');
    const { code, out, err } = await node.ended;
    expect(code).toBe(0);
    expect(out + err).not.toContain('a-token');
  });

  it('does not listen beyond this machine without a token', { timeout: 90_000 }, async () => {
    const { code, err } = await cli.run(up('--http', '0.0.0.0:0'), { env: { PROCTOR_HTTP_TOKEN: '' } });
    expect(code).not.toBe(0);
    expect(err).toMatch(/0\.0\.0\.0 can be reached from other machines: set PROCTOR_HTTP_TOKEN/);
  });

  it('asks for an address that is one', async () => {
    const { code, err } = await cli.run(up('--http', 'everywhere'));
    expect(code).not.toBe(0);
    expect(err).toContain('Expected a port such as 9464');
  });
});
