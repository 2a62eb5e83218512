import { lookup as dnsLookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { AllowList, isAddress, isPublic, unbracket } from './fetch-guard.ts';
import { abortReason, defineLocalTool, type LocalTool } from './local-tool.ts';
import { tryDecode } from './text-file.ts';

/**
 * Fetches text over http and https from allowed hosts. Every hop (the URL and each redirect) is checked: the host
 * against the list, then the addresses that its name has now; the connection goes to one of exactly those addresses,
 * so a name that changes its address afterwards gains nothing. Size is counted after decompression, as it arrives.
 */

export interface Address {
  address: string;
  family: number;
}

export interface FetchOptions {
  allowHosts: string[];
  clock: Clock;
  /** All hops together, milliseconds. */
  timeoutMs?: number;
  /** Body after decompression, bytes. */
  maxBytes?: number;
  /** Finds the addresses of a name; the system's resolver unless given. */
  resolve?: (hostname: string) => Promise<Address[]>;
}

export const MAX_REDIRECTS = 5;

export function httpFetchTool(options: FetchOptions): LocalTool {
  const allowed = new AllowList(options.allowHosts);
  const maxBytes = options.maxBytes ?? 128 * 1024;
  const timeoutMs = options.timeoutMs ?? 20_000;
  const resolve = options.resolve ?? ((hostname) => dnsLookup(hostname, { all: true, verbatim: true }));
  return defineLocalTool({
    name: 'http_fetch',
    description: `Fetches a text (web page, JSON) with GET from one of the allowed hosts; at most ${Math.floor(maxBytes / 1024)} KB.`,
    parameters: z.strictObject({
      url: z.string().min(1).max(2048).describe('http or https'),
      accept: z
        .string()
        .regex(/^[\x20-\x7e]{1,200}$/, 'expected 1 to 200 printable ASCII characters')
        .optional()
        .describe('Value of the Accept header.'),
    }),
    result: z.object({ url: z.string(), status: z.int(), content_type: z.string(), body: z.string() }),
    effect: 'read',
    resource_field: 'url',
    untrusted: true,
    egress: true,
    idempotent: true,
    run: async ({ url, accept }, ctx) => {
      const stop = new AbortController();
      const cancelTimer = options.clock.after(timeoutMs, () =>
        stop.abort(
          new AppError('fetch_timeout', `No complete answer within ${timeoutMs} ms.`, {
            field: 'url',
            retryable: true,
          }),
        ),
      );
      const signal = AbortSignal.any([stop.signal, ctx.signal]);
      try {
        return await follow(url, accept ?? '*/*', signal);
      } catch (thrown) {
        if (signal.aborted) throw abortReason(signal);
        if (thrown instanceof AppError) throw thrown;
        const code = thrown instanceof Error && 'code' in thrown ? ` (${String(thrown.code)})` : '';
        throw new AppError('fetch_failed', `The fetch failed${code}.`, {
          field: 'url',
          retryable: true,
          cause: thrown,
        });
      } finally {
        cancelTimer();
        // Closes whatever is still open, such as a body that was not read to its end.
        stop.abort();
      }
    },
  });

  async function follow(start: string, accept: string, signal: AbortSignal) {
    let url = parseUrl(start);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await get(url, accept, signal);
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
        response.destroy();
        url = parseUrl(location, url);
        continue;
      }
      const contentType = response.headers['content-type'] ?? '';
      const body = await readBody(response, maxBytes);
      return { url: url.href, status, content_type: contentType, body: textOf(body, contentType) };
    }
    throw new AppError('too_many_redirects', `More than ${MAX_REDIRECTS} redirects.`, { field: 'url' });
  }

  async function get(url: URL, accept: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { mayBePrivate } = allowed.check(url, 'url');
    const host = unbracket(url.hostname);
    const addresses = isAddress(url.hostname)
      ? [{ address: host, family: host.includes(':') ? 6 : 4 }]
      : await orAborted(resolve(host), signal);
    const [first] = addresses;
    if (first === undefined) throw new AppError('fetch_failed', `"${host}" has no address.`, { field: 'url' });
    if (!mayBePrivate && !addresses.every(({ address }) => isPublic(address))) {
      throw new AppError('address_not_allowed', `"${url.host}" has an address that is not public.`, { field: 'url' });
    }
    const pinned: LookupFunction = (_hostname, { all }, done) =>
      all ? done(null, addresses) : done(null, first.address, first.family);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return await new Promise((resolved, reject) => {
      send(
        {
          host,
          port: url.port,
          path: url.pathname + url.search,
          method: 'GET',
          headers: { host: url.host, accept, 'accept-encoding': 'gzip, deflate, br', 'user-agent': 'proctor' },
          agent: false,
          lookup: pinned,
          signal,
        },
        resolved,
      )
        .on('error', reject)
        .end();
    });
  }
}

function parseUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new AppError('invalid_url', 'That is not a URL.', { field: 'url' });
  return new URL(text, base);
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await Promise.race([
    work,
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    }),
  ]);
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of decoded(response)) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new AppError('body_too_large', `The answer has more than ${maxBytes} bytes.`, { field: 'url' });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decoded(response: IncomingMessage): Readable {
  const encoding = (response.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity' || encoding === '') return response;
  const unpack = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate, br: createBrotliDecompress };
  if (!Object.hasOwn(unpack, encoding)) {
    throw new AppError('unsupported_encoding', `The answer is packed as "${encoding.slice(0, 64)}".`, { field: 'url' });
  }
  const stream = unpack[encoding as keyof typeof unpack]();
  response.on('error', (error) => stream.destroy(error));
  stream.on('close', () => response.destroy());
  return response.pipe(stream);
}

function textOf(body: Buffer, contentType: string): string {
  const charset = /charset\s*=\s*"?([\w.:-]{1,40})/i.exec(contentType)?.[1] ?? 'utf-8';
  const text = tryDecode(body, charset);
  if (text === null) throw new AppError('binary_content', 'The answer is not a text.', { field: 'url' });
  return text;
}
