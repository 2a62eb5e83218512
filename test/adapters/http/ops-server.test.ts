import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type OpsServer, type OpsServerOptions, startOpsServer } from '../../../src/adapters/http/ops-server.ts';
import { silent } from '../../runtime/support.ts';

const servers: OpsServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function started(more: Partial<OpsServerOptions> = {}): Promise<OpsServer> {
  const metrics = () => Promise.resolve('a_figure 1\n');
  const server = await startOpsServer({
    host: '127.0.0.1',
    port: 0,
    notReady: () => [],
    metrics,
    log: silent,
    ...more,
  });
  servers.push(server);
  return server;
}

describe('the HTTP server of a node', () => {
  it('says that the process is alive, whatever else is the matter', async () => {
    const { url } = await started({ notReady: () => ['nats: not connected'] });
    const answer = await fetch(`${url}/healthz`);
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok', uptime_s: expect.any(Number) }]);
  });

  it('is ready only while nothing stands against it, and says what does', async () => {
    let reasons: string[] = [];
    const { url } = await started({ notReady: () => reasons });
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    reasons = ['draining', 'nats: not connected'];
    const answer = await fetch(`${url}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([503, { status: 'not_ready', reasons }]);
  });

  it('asks for the token before it shows figures, and for nothing before it says how it is', async () => {
    const { url } = await started({ token: 'the-right-one' });
    const status = async (authorization?: string) =>
      (await fetch(`${url}/metrics`, { headers: authorization === undefined ? {} : { authorization } })).status;
    expect(await status()).toBe(401);
    expect(await status('Bearer the-wrong-one')).toBe(401);
    expect(await status('Basic the-right-one')).toBe(401);
    expect(await status('Bearer the-right-one')).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it.each(['0.0.0.0', '::', '192.0.2.1', 'example.com'])('does not listen on %s without a token', async (host) => {
    await expect(started({ host })).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('TOKEN') });
  });

  it('listens beyond this machine with one', async () => {
    const { url } = await started({ host: '0.0.0.0', token: 'x' });
    expect((await fetch(`${url.replace('0.0.0.0', '127.0.0.1')}/metrics`)).status).toBe(401);
  });

  it('names the address that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(started({ port })).rejects.toMatchObject({
      code: 'port_taken',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    await new Promise((resolve) => other.close(resolve));
  });

  it('shows no more than an error when figures cannot be had', async () => {
    const { url } = await started({ metrics: () => Promise.reject(new Error('inner workings')) });
    const answer = await fetch(`${url}/metrics`);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('inner workings');
  });
});
