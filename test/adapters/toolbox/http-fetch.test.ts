import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AllowList, isPublic } from '../../../src/adapters/toolbox/fetch-guard.ts';
import {
  type Address,
  type FetchOptions,
  httpFetchTool,
  MAX_REDIRECTS,
} from '../../../src/adapters/toolbox/http-fetch.ts';
import { errorOf, faultOf, ManualClock, realClock, use } from './support.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(answer: Answer): Promise<{ host: string; port: number; hits: string[]; server: Server }> {
  const hits: string[] = [];
  const server = createServer((request, response) => {
    hits.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { host: `127.0.0.1:${port}`, port, hits, server };
}

const toolFor = (allowHosts: string[], options: Partial<FetchOptions> = {}) =>
  httpFetchTool({ allowHosts, clock: realClock, ...options });

const LOOPBACK: Address[] = [{ address: '127.0.0.1', family: 4 }];

const redirectTo =
  (location: string, status = 302): Answer =>
  (_, response) =>
    response.writeHead(status, { location }).end('elsewhere');

describe('http_fetch', () => {
  it('fetches a text from an allowed host', async () => {
    const { host } = await serve((request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`${request.method} ${request.url} ${request.headers.accept} ${request.headers.host}`);
    });
    expect(await use(toolFor([host]), { url: `http://${host}/a?b=c#d`, accept: 'text/plain' })).toEqual({
      url: `http://${host}/a?b=c#d`,
      status: 200,
      content_type: 'text/plain; charset=utf-8',
      body: `GET /a?b=c text/plain ${host}`,
    });
  });

  it('gives the answer of a server that says no', async () => {
    const { host } = await serve((_, response) => response.writeHead(404).end('nothing here'));
    expect(await use(toolFor([host]), { url: `http://${host}/` })).toMatchObject({ status: 404, body: 'nothing here' });
  });

  it('finds names, and connects to the address that it found', async () => {
    const { port, hits } = await serve((request, response) => response.end(request.headers.host));
    const asked: string[] = [];
    const tool = toolFor([`name.test:${port}`], {
      resolve: async (name) => {
        asked.push(name);
        return LOOPBACK;
      },
    });
    expect(await use(tool, { url: `http://name.test:${port}/x` })).toMatchObject({ body: `name.test:${port}` });
    expect(asked).toEqual(['name.test']);
    expect(hits).toEqual(['/x']);
  });

  it('finds localhost with the system resolver', async () => {
    const { port } = await serve((_, response) => response.end('here'));
    expect(await use(toolFor([`localhost:${port}`]), { url: `http://localhost:${port}/` })).toMatchObject({
      body: 'here',
    });
  });

  it('fetches from nobody by default', async () => {
    const { host, hits } = await serve((_, response) => response.end());
    expect(await faultOf(use(toolFor([]), { url: `http://${host}/` }))).toBe('host_not_allowed url');
    expect(hits).toEqual([]);
  });

  it.each([
    'file:///etc/passwd',
    'ftp://allowed.test/',
    'data:text/plain,x',
    'gopher://allowed.test/',
    'javascript:1',
    'blob:http://allowed.test/x',
  ])('refuses the scheme of %s', async (url) => {
    expect(await faultOf(use(toolFor(['allowed.test']), { url }))).toBe('scheme_not_allowed url');
  });

  it.each(['', 'not a url', 'http://', '//allowed.test/', 'http://allowed.test:99999/', 'http://[::1'])(
    'refuses %j, which is no URL',
    async (url) => {
      expect(await faultOf(use(toolFor(['allowed.test']), { url }))).toMatch(/^(invalid_url|invalid_arguments) url$/);
    },
  );

  it('sends no credentials and no second header', async () => {
    const tool = toolFor(['allowed.test']);
    expect(await faultOf(use(tool, { url: 'http://user:pass@allowed.test/' }))).toBe('credentials_in_url url');
    expect(await faultOf(use(tool, { url: 'http://allowed.test/', accept: 'a\r\nx-evil: 1' }))).toBe(
      'invalid_arguments accept',
    );
  });

  it('keeps line breaks in a path out of the request', async () => {
    const { host, hits } = await serve((_, response) => response.end());
    await use(toolFor([host]), { url: `http://${host}/a%0d%0ax: 1\r\ny` });
    expect(hits).toEqual(['/a%0d%0ax:%201y']);
  });
});

describe('the list of allowed hosts', () => {
  const allows = (entry: string, url: string) => {
    try {
      return new AllowList([entry]).check(new URL(url), 'url').mayBePrivate ? 'private' : 'public';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it.each([
    ['example.com', 'http://example.com/', 'private'],
    ['example.com', 'https://example.com/', 'private'],
    ['EXAMPLE.com', 'https://eXample.COM/', 'private'],
    ['bücher.example', 'https://xn--bcher-kva.example/', 'private'],
    ['example.com:8080', 'http://example.com:8080/', 'private'],
    ['example.com:443', 'https://example.com/', 'private'],
    ['*.example.com', 'https://a.b.example.com/', 'public'],
    ['*.example.com:81', 'http://a.example.com:81/', 'public'],
    ['[::1]:80', 'http://[0:0:0:0:0:0:0:1]/', 'private'],
    ['127.0.0.1', 'http://2130706433/', 'private'],
    ['example.com', 'http://example.com:8080/', 'host_not_allowed'],
    ['example.com:80', 'https://example.com/', 'host_not_allowed'],
    ['example.com', 'http://www.example.com/', 'host_not_allowed'],
    ['*.example.com', 'http://example.com/', 'host_not_allowed'],
    ['*.example.com', 'http://evilexample.com/', 'host_not_allowed'],
    ['*.example.com', 'http://a.example.com.evil.test/', 'host_not_allowed'],
    ['*.example.com', 'http://evil.test/a.example.com', 'host_not_allowed'],
    ['*.example.com', 'http://evil.test#.example.com', 'host_not_allowed'],
    ['*.example.com', 'http://evil.test\\.example.com/', 'host_not_allowed'],
    ['*.example.com', 'http://a.example.com./', 'host_not_allowed'],
    ['example.com', 'http://example.com@evil.test/', 'credentials_in_url'],
  ])('with %s, for %s says %s', (entry, url, expected) => {
    expect(allows(entry, url)).toBe(expected);
  });

  it.each([
    '',
    '*',
    '*.',
    '*.*',
    'http://example.com',
    'a b',
    'example.com/x',
    'user@host',
    'host:0',
    'host:99999',
    '*.1.2.3.4',
    'ho*st',
    '[::1',
    'a:b',
    'example.com?',
  ])('cannot hold %j', (entry) => {
    expect(() => new AllowList([entry])).toThrow(
      expect.objectContaining({ code: 'bad_allow_list', field: 'allowHosts' }),
    );
  });

  it.each([
    ...['127.0.0.1', '127.255.255.254', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254'],
    ...['0.0.0.0', '100.64.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1', '192.0.2.1', '198.18.0.1'],
    ...['::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12::1', 'fec0::1', 'ff02::1', '2001:db8::1'],
    ...['::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:a9fe:a9fe', '64:ff9b::7f00:1', '64:ff9b:1::1', '2002:7f00:1::'],
    ...['2001::1', '::127.0.0.1', '4000::1', '5f00::1', 'localhost', ''],
  ])('takes %s for private', (address) => {
    expect(isPublic(address)).toBe(false);
  });

  it.each(['93.184.216.34', '8.8.8.8', '172.32.0.1', '2606:4700:4700::1111', '::ffff:8.8.8.8'])(
    'takes %s for public',
    (address) => {
      expect(isPublic(address)).toBe(true);
    },
  );

  it('never takes an address of a private network for public, however it is written', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const network = fc.constantFrom([10], [127], [192, 168], [169, 254], [172, 16], [0]);
    fc.assert(
      fc.property(network, octet, octet, octet, (start, x, y, z) => {
        const bytes = [...start, x, y, z].slice(0, 4);
        const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
        expect(isPublic(bytes.join('.'))).toBe(false);
        expect(isPublic(`::ffff:${hex.slice(0, 4)}:${hex.slice(4)}`)).toBe(false);
        expect(isPublic(`64:ff9b::${hex.slice(0, 4)}:${hex.slice(4)}`)).toBe(false);
        expect(isPublic(new URL(`http://${Number.parseInt(hex, 16)}/`).hostname)).toBe(false);
      }),
    );
  });
});

describe('http_fetch and private addresses', () => {
  it.each(['127.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', '10.1.2.3'])(
    'refuses a name under a pattern that has the address %s',
    async (address) => {
      const { port, hits } = await serve((_, response) => response.end('internal'));
      const resolve = async () => [{ address, family: address.includes(':') ? 6 : 4 }];
      const tool = toolFor([`*.example.test:${port}`], { resolve });
      expect(await faultOf(use(tool, { url: `http://a.example.test:${port}/` }))).toBe('address_not_allowed url');
      expect(hits).toEqual([]);
    },
  );

  it('refuses a name with one private address among public ones', async () => {
    const resolve = async () => [{ address: '8.8.8.8', family: 4 }, ...LOOPBACK];
    expect(await faultOf(use(toolFor(['*.example.test'], { resolve }), { url: 'http://a.example.test/' }))).toBe(
      'address_not_allowed url',
    );
  });

  it('refuses addresses in the URL that no entry names, however they are written', async () => {
    const tool = toolFor(['*.example.test', 'example.test']);
    for (const host of [
      '127.0.0.1',
      '0x7f.1',
      '2130706433',
      '017700000001',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '127.1',
      '0',
    ]) {
      expect(await faultOf(use(tool, { url: `http://${host}/` }))).toBe('host_not_allowed url');
    }
  });

  it('asks for the addresses of a name once, so that a second answer cannot differ', async () => {
    const { port } = await serve((_, response) => response.end('answered'));
    let asked = 0;
    const resolve = async () => (asked++ === 0 ? LOOPBACK : [{ address: '203.0.113.1', family: 4 }]);
    const tool = toolFor([`rebind.test:${port}`], { resolve });
    expect(await use(tool, { url: `http://rebind.test:${port}/` })).toMatchObject({ body: 'answered' });
    expect(asked).toBe(1);
  });

  it('checks the host of each redirect again', async () => {
    const inner = await serve((_, response) => response.end('internal'));
    const outer = await serve(redirectTo(`http://${inner.host}/`));
    expect(await faultOf(use(toolFor([outer.host]), { url: `http://${outer.host}/` }))).toBe('host_not_allowed url');
    expect([outer.hits.length, inner.hits.length]).toEqual([1, 0]);
  });

  it('checks the addresses of each redirect again', async () => {
    const inner = await serve((_, response) => response.end('internal'));
    const outer = await serve(redirectTo(`http://internal.example.test:${inner.port}/`));
    const tool = toolFor([outer.host, `*.example.test:${inner.port}`], { resolve: async () => LOOPBACK });
    expect(await faultOf(use(tool, { url: `http://${outer.host}/` }))).toBe('address_not_allowed url');
    expect([outer.hits.length, inner.hits.length]).toEqual([1, 0]);
  });

  it.each([
    ['file:///etc/passwd', 'scheme_not_allowed url'],
    ['http://user:pass@127.0.0.1/', 'credentials_in_url url'],
    ['//169.254.169.254/latest/meta-data', 'host_not_allowed url'],
    ['http://[::ffff:7f00:1]/', 'host_not_allowed url'],
    ['http://', 'invalid_url url'],
  ])('refuses a redirect to %s', async (location, fault) => {
    const { host } = await serve(redirectTo(location));
    expect(await faultOf(use(toolFor([host]), { url: `http://${host}/` }))).toBe(fault);
  });
});

describe('http_fetch and redirects', () => {
  it.each([301, 302, 303, 307, 308])('follows a %i, also a relative one', async (status) => {
    const { host } = await serve((request, response) =>
      request.url === '/end' ? response.end('arrived') : redirectTo('end', status)(request, response),
    );
    expect(await use(toolFor([host]), { url: `http://${host}/start` })).toMatchObject({
      url: `http://${host}/end`,
      status: 200,
      body: 'arrived',
    });
  });

  it('follows so many and no more', async () => {
    const { host, hits } = await serve((request, response) => {
      const left = Number(request.url?.slice(1));
      if (left === 0) response.end('arrived');
      else redirectTo(`/${left - 1}`)(request, response);
    });
    const tool = toolFor([host]);
    expect(await use(tool, { url: `http://${host}/${MAX_REDIRECTS}` })).toMatchObject({ body: 'arrived' });
    hits.length = 0;
    expect(await faultOf(use(tool, { url: `http://${host}/1000` }))).toBe('too_many_redirects url');
    expect(hits.length).toBe(MAX_REDIRECTS + 1);
  });

  it('gives a redirect that leads nowhere as it is', async () => {
    const { host } = await serve((_, response) => response.writeHead(302).end('lost'));
    expect(await use(toolFor([host]), { url: `http://${host}/` })).toMatchObject({ status: 302, body: 'lost' });
  });
});

describe('http_fetch and bodies', () => {
  const maxBytes = 1000;

  it('takes a body of exactly the limit and refuses one byte more', async () => {
    const { host } = await serve((request, response) => response.end('x'.repeat(Number(request.url?.slice(1)))));
    const tool = toolFor([host], { maxBytes });
    expect(await use(tool, { url: `http://${host}/1000` })).toMatchObject({ body: 'x'.repeat(1000) });
    expect(await faultOf(use(tool, { url: `http://${host}/1001` }))).toBe('body_too_large url');
  });

  it('stops reading a body that has no end', async () => {
    const closed = deferred();
    const { host } = await serve((_, response) => {
      response.on('close', closed.resolve);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
      };
      response.on('drain', more);
      more();
    });
    expect(await faultOf(use(toolFor([host], { maxBytes }), { url: `http://${host}/` }))).toBe('body_too_large url');
    await closed.promise;
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('unpacks %s, and counts what comes out', async (encoding, pack) => {
    const closed = deferred();
    const { host } = await serve((request, response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, { 'content-encoding': encoding });
      response.end(pack(Buffer.alloc(request.url === '/bomb' ? 20_000_000 : 900, 'x')));
    });
    const tool = toolFor([host], { maxBytes });
    expect(await use(tool, { url: `http://${host}/` })).toMatchObject({ body: 'x'.repeat(900) });
    expect(await faultOf(use(tool, { url: `http://${host}/bomb` }))).toBe('body_too_large url');
    await closed.promise;
  });

  it.each(['gzip, gzip', 'zstd', 'compress', '__proto__', 'constructor'])(
    'refuses the packing %s',
    async (encoding) => {
      const { host } = await serve((_, response) => {
        response.writeHead(200, { 'content-encoding': encoding }).end(gzipSync(gzipSync('x')));
      });
      expect(await faultOf(use(toolFor([host]), { url: `http://${host}/` }))).toBe('unsupported_encoding url');
    },
  );

  it('closes the connection of an answer that it does not read', async () => {
    const closed = deferred();
    const { host } = await serve((_, response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, { 'content-encoding': 'zstd' });
      response.write('and then nothing more');
    });
    expect(await faultOf(use(toolFor([host]), { url: `http://${host}/` }))).toBe('unsupported_encoding url');
    await closed.promise;
  });

  it('fails when the packed body is damaged or cut off', async () => {
    const { host } = await serve((request, response) => {
      const packed = gzipSync('x'.repeat(500));
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(request.url === '/cut' ? packed.subarray(0, 15) : Buffer.from('no gzip at all'));
    });
    const tool = toolFor([host]);
    expect(await faultOf(use(tool, { url: `http://${host}/cut` }))).toBe('fetch_failed url');
    expect(await faultOf(use(tool, { url: `http://${host}/bad` }))).toBe('fetch_failed url');
  });

  it('decodes the character set that is declared, and refuses what is not a text', async () => {
    const { host } = await serve((request, response) => {
      const latin = request.url === '/latin';
      response.writeHead(200, { 'content-type': latin ? 'text/html; charset="ISO-8859-1"' : 'image/png' });
      response.end(latin ? Buffer.from([0x67, 0xfc]) : Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0xff]));
    });
    const tool = toolFor([host]);
    expect(await use(tool, { url: `http://${host}/latin` })).toMatchObject({ body: 'gü' });
    expect(await faultOf(use(tool, { url: `http://${host}/png` }))).toBe('binary_content url');
  });

  it('fails when the server goes away in the middle', async () => {
    const { host } = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '500' });
      response.write('half', () => response.destroy());
    });
    const error = await errorOf(use(toolFor([host]), { url: `http://${host}/` }));
    expect([error.code, error.retryable]).toEqual(['fetch_failed', true]);
  });

  it('fails when nobody listens or the server does not speak HTTP', async () => {
    const { host, server } = await serve(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    expect(await faultOf(use(toolFor([host]), { url: `http://${host}/` }))).toBe('fetch_failed url');
    const odd = createTcpServer((socket) => socket.end('220 smtp ready\r\n')).listen(0, '127.0.0.1');
    onTestFinished(() => void odd.close());
    await new Promise((resolve) => odd.on('listening', resolve));
    const oddHost = `127.0.0.1:${(odd.address() as AddressInfo).port}`;
    expect(await faultOf(use(toolFor([oddHost]), { url: `http://${oddHost}/` }))).toBe('fetch_failed url');
  });
});

describe('http_fetch and time', () => {
  const TIMEOUT = 20_000;

  it('gives up on a body that trickles, however lively it is', async () => {
    const [begun, closed] = [deferred(), deferred()];
    const { host } = await serve((_, response) => {
      const timer = setInterval(() => response.write('x'), 5);
      response.write('x', () => begun.resolve());
      response.on('close', () => {
        clearInterval(timer);
        closed.resolve();
      });
    });
    const clock = new ManualClock();
    const fault = errorOf(use(toolFor([host], { clock }), { url: `http://${host}/` }));
    await begun.promise;
    clock.advance(TIMEOUT - 1);
    clock.advance(1);
    const error = await fault;
    expect([error.code, error.field, error.retryable]).toEqual(['fetch_timeout', 'url', true]);
    await closed.promise;
    expect(clock.pending).toBe(0);
  });

  it('gives up on a server that says nothing, and on a name server that says nothing', async () => {
    const asked = deferred();
    const silent = await serve(() => asked.resolve());
    const clock = new ManualClock();
    const fault = faultOf(use(toolFor([silent.host], { clock }), { url: `http://${silent.host}/` }));
    await asked.promise;
    clock.advance(TIMEOUT);
    expect(await fault).toBe('fetch_timeout url');

    const named = deferred();
    const resolve = () => {
      named.resolve();
      return new Promise<never>(() => undefined);
    };
    const lost = faultOf(use(toolFor(['name.test'], { clock, resolve }), { url: 'http://name.test/' }));
    await named.promise;
    clock.advance(TIMEOUT);
    expect(await lost).toBe('fetch_timeout url');
  });

  it('has one budget for all hops together', async () => {
    const second = deferred();
    const { host } = await serve((request, response) => {
      if (request.url === '/end') second.resolve();
      else {
        clock.advance(TIMEOUT - 1);
        redirectTo('/end')(request, response);
      }
    });
    const clock = new ManualClock();
    const fault = faultOf(use(toolFor([host], { clock }), { url: `http://${host}/` }));
    await second.promise;
    clock.advance(1);
    expect(await fault).toBe('fetch_timeout url');
  });

  it('stops when the call is aborted, and closes the connection', async () => {
    const [asked, closed] = [deferred(), deferred()];
    const { host } = await serve((_, response) => {
      response.on('close', closed.resolve);
      asked.resolve();
    });
    const stop = new AbortController();
    const fault = faultOf(use(toolFor([host]), { url: `http://${host}/` }, stop.signal));
    await asked.promise;
    stop.abort();
    expect(await fault).toBe('aborted');
    await closed.promise;
  });

  it('fails when the name does not exist', async () => {
    const resolve = () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
    const error = await errorOf(use(toolFor(['name.test'], { resolve }), { url: 'http://name.test/' }));
    expect([error.code, error.message]).toEqual(['fetch_failed', 'The fetch failed (ENOTFOUND).']);
    const none = toolFor(['name.test'], { resolve: async () => [] });
    expect(await faultOf(use(none, { url: 'http://name.test/' }))).toBe('fetch_failed url');
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}
