import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openScene, type Scene, TOKENS } from '../../bench/console/scene.ts';
import { type OpenConsole, openConsole } from '../../src/app/console.ts';
import { SILENT } from '../../src/app/local.ts';
import { readAccounts } from '../../src/console/gateway/auth/accounts.ts';
import { Sessions } from '../../src/console/gateway/auth/sessions.ts';

/** The gateway's doors, on a real server: who gets in, what each may do, and what comes down the stream. */

let scene: Scene;
let gateway: OpenConsole;
let assets: string;
let run: string;

beforeAll(async () => {
  assets = mkdtempSync(join(tmpdir(), 'proctor-assets-'));
  writeFileSync(join(assets, 'index.html'), '<!doctype html>');
  scene = await openScene({ assets, nodes: 1 });
  gateway = await scene.console();
  ({ run } = await scene.client.submit(
    { input: { file: 'a.log', api_key: 'sk-abcdefghijklmnop1234' } },
    'log-analyst',
  ));
  await scene.client.result(run, { wait: true });
}, 120_000);

afterAll(async () => {
  await scene?.stop();
  await rm(assets, { recursive: true, force: true });
}, 120_000);

interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: Record<string, unknown>;
}

async function call(path: string, init: RequestInit = {}, url = gateway.url): Promise<Answer> {
  const response = await fetch(`${url}${path}`, init);
  const text = await response.text();
  let body: Record<string, unknown> = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    // Not all answers are JSON.
  }
  return { status: response.status, headers: response.headers, text, body };
}

/** Logged in with a cookie, as a browser is. */
async function session(role: keyof typeof TOKENS) {
  const answer = await call('/api/login', json({ token: TOKENS[role] }));
  const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? '';
  const me = await call('/api/me', { headers: { cookie } });
  const csrf = String(me.body.csrf);
  return {
    cookie,
    csrf,
    get: (path: string) => call(path, { headers: { cookie } }),
    post: (path: string, body: unknown, headers: Record<string, string> = {}) =>
      call(path, json(body, { cookie, 'x-proctor-csrf': csrf, ...headers })),
  };
}

function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

/** With a Host header, which fetch does not let one set. */
function statusWithHost(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`${gateway.url}/healthz`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .once('error', reject)
      .end();
  });
}

describe('the door', () => {
  it.each(['/api/me', '/api/runs/x', '/api/agents', '/api/stream?tab=0123456789abcdef', '/api/charts/x'])(
    'gives strangers nothing of %s',
    async (path) => {
      expect((await call(path)).status).toBe(401);
      expect((await call(path, { headers: { cookie: 'proctor_12345678=forged.forged' } })).status).toBe(401);
      expect((await call(path, { headers: { authorization: 'Bearer wrong-token-0123456789' } })).status).toBe(401);
    },
  );

  it('lets each token in with its role, as cookie and as bearer', async () => {
    for (const role of ['viewer', 'approver', 'operator'] as const) {
      const { get } = await session(role);
      expect((await get('/api/me')).body).toMatchObject({ role });
      const bearer = await call('/api/me', { headers: { authorization: `Bearer ${TOKENS[role]}` } });
      expect(bearer.body).toMatchObject({ role });
    }
  });

  it('sets a cookie that no script and no other site can use', async () => {
    const { headers } = await call('/api/login', json({ token: TOKENS.viewer }));
    expect(headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Strict/);
  });

  it('takes no sealed session that was changed or is too old', () => {
    let now = 1_000_000;
    const sessions = new Sessions('a secret', () => now);
    const sealed = sessions.seal({ name: 'olga', role: 'viewer' });
    const [body = '', signature = ''] = sealed.split('.');
    const raised = Buffer.from(body, 'base64url').toString().replace('viewer', 'operator');
    expect(sessions.open(sealed)).toEqual({ name: 'olga', role: 'viewer' });
    expect(sessions.open(`${Buffer.from(raised).toString('base64url')}.${signature}`)).toBeNull();
    expect(new Sessions('another secret', () => now).open(sealed)).toBeNull();
    now += 13 * 3_600_000;
    expect(sessions.open(sealed)).toBeNull();
  });

  it('sends a policy that lets nothing foreign in', async () => {
    const { headers } = await call('/');
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('answers on this machine to no foreign name', async () => {
    expect(await statusWithHost('127.0.0.1')).toBe(200);
    expect(await statusWithHost('evil.example')).toBe(421);
  });

  it('slows down who guesses tokens', async () => {
    const other = await scene.console();
    const statuses: number[] = [];
    for (let n = 0; n < 24; n++)
      statuses.push((await call('/api/login', json({ token: `guess-${n}` }), other.url)).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(20);
    expect(statuses.at(-1)).toBe(429);
    await other.stop();
  });
});

describe('orders', () => {
  const order = { order: 'cancel', why: 'a test' };

  it('need the role', async () => {
    for (const role of ['viewer', 'approver'] as const) {
      const { post } = await session(role);
      expect((await post(`/api/runs/${run}/order`, order)).status, role).toBe(403);
      expect((await post('/api/switches', { scope: 'global', mode: 'kill', why: 'x', confirm: 'global' })).status).toBe(
        403,
      );
      expect((await post('/api/nodes/order', { node: 'node-1', order: 'drain', why: 'x' })).status).toBe(403);
    }
    const viewer = await session('viewer');
    expect((await viewer.post(`/api/runs/${run}/resolve`, { c: '1-0', verdict: 'done', why: 'x' })).status).toBe(403);
  });

  it('come from the page itself and from nowhere else', async () => {
    const { post } = await session('operator');
    const path = `/api/runs/${run}/order`;
    expect((await post(path, order, { 'x-proctor-csrf': 'wrong' })).body.code).toBe('csrf');
    expect((await post(path, order, { origin: 'https://evil.example' })).body.code).toBe('csrf');
    expect((await post(path, order, { 'sec-fetch-site': 'cross-site' })).body.code).toBe('csrf');
    expect((await post(path, order)).body.code).toBe('already_ended');
    const another = await session('viewer');
    expect((await post(path, order, { 'x-proctor-csrf': another.csrf })).body.code).toBe('csrf');
  });

  it('say what is wrong with them', async () => {
    const { post } = await session('operator');
    const path = `/api/runs/${run}/order`;
    expect((await post(path, { order: 'cancel', why: '  ' })).body).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('why'),
    });
    expect((await post(path, { order: 'explode', why: 'x' })).status).toBe(400);
    expect(
      (await post('/api/switches', { scope: 'tool:x', mode: 'pause', why: 'x', confirm: 'tool:y' })).body.message,
    ).toContain('confirm');
    expect(
      (await post('/api/switches', { scope: 'nothing', mode: 'pause', why: 'x', confirm: 'nothing' })).status,
    ).toBe(400);
    expect((await post(path, { order: 'cancel', why: 'x'.repeat(700_000) })).status).toBe(413);
    expect((await post('/api/runs/20200101-abc-1/order', order)).status).toBe(404);
    const { cookie, csrf } = await session('operator');
    const broken = await call(path, { method: 'POST', body: '{', headers: { cookie, 'x-proctor-csrf': csrf } });
    expect(broken).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  });

  it('are stamped with who and why', async () => {
    const { post } = await session('operator');
    const { run: held } = await scene.client.submit({ input: { seconds: 600 } }, 'slow');
    await post(`/api/runs/${held}/order`, { order: 'cancel', why: 'asked for by the customer' });
    await scene.client.result(held, { wait: true });
    const events = [];
    for await (const entry of scene.operator.journal(held)) events.push(...entry.events);
    expect(events.find(({ type }) => type === 'cancel')).toMatchObject({
      by: 'olga (operator, console)',
      why: 'asked for by the customer',
    });
  });
});

describe('a run', () => {
  it('is shown without its secrets, everywhere', async () => {
    const { get } = await session('operator');
    for (const what of ['', '/frames', '/context', '/journal?n=0', '/file']) {
      const { text, status } = await get(`/api/runs/${run}${what}`);
      expect(status, what).toBe(200);
      expect(text, what).not.toContain('sk-abcdefghijklmnop1234');
    }
    expect((await get(`/api/runs/${run}/journal?n=0`)).text).toContain('***REDACTED***');
  });

  it('saved as a file is opened again without a server', async () => {
    const { get } = await session('viewer');
    const file = join(assets, 'run.json');
    writeFileSync(file, (await get(`/api/runs/${run}/file`)).text);
    const opened = await openConsole({
      host: '127.0.0.1',
      port: 0,
      proxy: null,
      dir: null,
      person: { name: 'me', role: 'operator' },
      source: { file },
      assets,
      log: SILENT,
    });
    const token = opened.login?.split('#login=')[1] ?? '';
    const login = await call('/api/login', json({ token }), opened.url);
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
    expect((await call('/api/login', json({ token }), opened.url)).status).toBe(401);
    const live = (await get(`/api/runs/${run}`)).body as { frames: { state: string }[] };
    const saved = (await call(`/api/runs/${run}`, { headers: { cookie } }, opened.url)).body as typeof live;
    expect(saved.frames.map(({ state }) => state)).toEqual(live.frames.map(({ state }) => state));
    expect((await call('/api/agents', { headers: { cookie } }, opened.url)).status).toBe(404);
    await opened.stop();
  });
});

describe('the stream', () => {
  it('resumes behind the last entry that the browser names, whatever older order arrives late, and tells strangers nothing', async () => {
    const { cookie, csrf } = await session('viewer');
    const tab = 'tab-0123456789abcdef';
    const read = async (lastId: string) => {
      const abort = new AbortController();
      const headers = { cookie, ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
      const response = await fetch(`${gateway.url}/api/stream?tab=${tab}`, { headers, signal: abort.signal });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      return { reader, end: () => abort.abort() };
    };
    const until = async (reader: ReadableStreamDefaultReader<Uint8Array>, word: string) => {
      let text = '';
      while (!text.includes(word) || !text.endsWith('\n\n'))
        text += new TextDecoder().decode((await reader.read()).value);
      return text;
    };
    const first = await read('');
    expect(await until(first.reader, 'event: hello')).toContain('"known":false');
    const watch = {
      n: 2,
      overview: false,
      cluster: false,
      approvals: false,
      list: false,
      runs: [],
      run: { id: run, from: 0 },
      actor: null,
    };
    const stranger = await session('operator');
    expect((await stranger.post(`/api/stream/${tab}/watch`, watch)).status).toBe(404);
    const headers = { cookie, 'x-proctor-csrf': csrf };
    expect((await call(`/api/stream/${tab}/watch`, json(watch, headers))).status).toBe(200);
    const late = { ...watch, n: 1, run: null };
    expect((await call(`/api/stream/${tab}/watch`, json(late, headers))).status).toBe(200);
    const all = await until(first.reader, 'event: run');
    expect(all).toContain('"n":0');
    const last = /^id: (\S+)$/m.exec(all)?.[1] ?? '';
    expect(last).toMatch(new RegExp(`^${run}/\\d+$`));
    first.end();
    const again = await read(`${run}/2`);
    const text = await until(again.reader, 'event: run');
    expect(text).toContain('"known":true');
    const data = JSON.parse(/event: run\ndata: (.*)/.exec(text)?.[1] ?? '{}') as { frames: { n: number }[] };
    expect(data.frames[0]?.n).toBe(3);
    again.end();
  });

  it('watches no actor whose address would make a subject that is too long for the server', async () => {
    const { post } = await session('viewer');
    const watch = { n: 1, overview: false, cluster: false, approvals: false, list: false, runs: [], run: null };
    const status = async (path: string[]) => {
      const actor = { node: 'node-1', kind: 'supervisor', path };
      return (await post('/api/stream/tab-of-nobody-0123/watch', { ...watch, actor })).status;
    };
    expect(await status(Array.from({ length: 8 }, () => 'ä'.repeat(256)))).toBe(400);
    expect(await status([...'12345678'].map((id) => id.repeat(256)))).toBe(404);
    expect(await status(['字'.repeat(128)])).toBe(404);
    expect(await status([''])).toBe(400);
  });
});

describe('who may listen where', () => {
  const base = { port: 0, proxy: null, dir: null, person: { name: 'me', role: 'operator' as const }, log: SILENT };

  it('is nobody beyond this machine without accounts or a proxy', async () => {
    const source = { address: { url: scene.server.url }, subjects: scene.subjects };
    await expect(openConsole({ ...base, host: '0.0.0.0', source, assets })).rejects.toMatchObject({ code: 'usage' });
  });

  it('believes a reverse proxy from its address, and nobody else', async () => {
    const source = { address: { url: scene.server.url }, subjects: scene.subjects };
    const proxy = { userHeader: 'x-forwarded-user', roleHeader: 'x-proctor-role', from: ['127.0.0.1'] };
    const trusted = await openConsole({ ...base, proxy, host: '127.0.0.1', source, assets });
    const headers = { 'x-forwarded-user': 'zoe', 'x-proctor-role': 'approver' };
    expect((await call('/api/me', { headers }, trusted.url)).body).toMatchObject({ name: 'zoe', role: 'approver' });
    expect((await call('/api/me', { headers: { 'x-forwarded-user': 'zoe' } }, trusted.url)).body).toMatchObject({
      role: 'viewer',
    });
    await trusted.stop();
    const elsewhere = { ...proxy, from: ['10.9.9.9'] };
    const wary = await openConsole({ ...base, proxy: elsewhere, host: '127.0.0.1', source, assets });
    expect((await call('/api/me', { headers }, wary.url)).status).toBe(401);
    await wary.stop();
  });

  it('reads token files, and never repeats a token', () => {
    const bad = JSON.stringify({ accounts: [{ name: 'x', role: 'king', token: 'short-secret' }] });
    expect(() => readAccounts(bad, 'f.json')).toThrow(/role/);
    expect(() => readAccounts(bad, 'f.json')).not.toThrow(/short-secret/);
    expect(() => readAccounts('not json', 'f.json')).toThrow(/JSON/);
  });
});
