import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Context } from 'hono';
import { AppError } from '../../core/errors.ts';

/** The built page, held in memory: a handful of files, which never change while this runs. */

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface Asset {
  type: string;
  body: Buffer<ArrayBuffer>;
  gzip: Buffer<ArrayBuffer>;
}

export class Assets {
  private readonly files = new Map<string, Asset>();

  /** Throws AppError `no_page` when the folder holds no built page. */
  constructor(folder: string) {
    let names: string[];
    try {
      names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    } catch (cause) {
      throw new AppError('no_page', `${folder} holds no built page: run npm run build`, { cause });
    }
    for (const name of names) {
      const type = TYPES[extname(name)];
      if (type === undefined) continue;
      const body = readFileSync(join(folder, name)) as Buffer<ArrayBuffer>;
      this.files.set(`/${name}`, { type, body, gzip: gzipSync(body) });
    }
    if (!this.files.has('/index.html'))
      throw new AppError('no_page', `${folder} holds no built page: run npm run build`);
  }

  /** A file; the page itself for every address that is one of its views. */
  serve(c: Context): Response {
    const path = c.req.path;
    const asset = this.files.get(path);
    if (asset === undefined && /\.[a-z0-9]+$/i.test(path)) return c.text('not found', 404);
    const { type, body, gzip } = asset ?? (this.files.get('/index.html') as Asset);
    c.header('Content-Type', type);
    c.header('Vary', 'Accept-Encoding');
    // The names of built files hold a hash of what is in them.
    c.header(
      'Cache-Control',
      asset !== undefined && path !== '/index.html' ? 'public, max-age=31536000, immutable' : 'no-cache',
    );
    if (!/\bgzip\b/.test(c.req.header('accept-encoding') ?? '')) return c.body(body);
    c.header('Content-Encoding', 'gzip');
    return c.body(gzip);
  }
}
