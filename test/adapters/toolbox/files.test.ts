import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, link, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfinedRoot } from '../../../src/adapters/toolbox/confined-root.ts';
import { listFilesTool } from '../../../src/adapters/toolbox/list-files.ts';
import { MAX_FILE_BYTES, MAX_TEXT_BYTES, readFileTool } from '../../../src/adapters/toolbox/read-file.ts';
import { SEARCH_LIMITS, searchFilesTool } from '../../../src/adapters/toolbox/search-files.ts';
import { readText } from '../../../src/adapters/toolbox/text-file.ts';
import { writeFileTool } from '../../../src/adapters/toolbox/write-file.ts';
import { errorOf, faultOf, makeRoot, realClock, SECRET, use } from './support.ts';

function toolsFor(root: string, options: { anchored?: boolean } = {}) {
  const confined = new ConfinedRoot(root, options);
  return {
    confined,
    read: readFileTool(confined),
    write: writeFileTool(confined),
    list: listFilesTool(confined),
    search: searchFilesTool(confined, realClock),
  };
}

const TRAVERSALS: [path: string, code: string][] = [
  ['../secret.txt', 'path_outside_root'],
  ['a/../../secret.txt', 'path_outside_root'],
  ['a/..', 'path_outside_root'],
  ['..', 'path_outside_root'],
  ['./../secret.txt', 'path_outside_root'],
  ['/etc/passwd', 'path_outside_root'],
  ['//etc/passwd', 'path_outside_root'],
  ['\\..\\secret.txt', 'path_outside_root'],
  ['C:\\secret.txt', 'path_outside_root'],
  ['C:secret.txt', 'path_outside_root'],
  ['..\\secret.txt', 'invalid_path'],
  ['a\\..\\..\\secret.txt', 'invalid_path'],
  ['secret.txt\u0000.md', 'invalid_path'],
  ['a\nb', 'invalid_path'],
  ['\ud800', 'invalid_path'],
  [`${'x'.repeat(256)}`, 'invalid_path'],
  [`${'d/'.repeat(40)}f`, 'invalid_path'],
  // Encodings are not decoded: these are names that do not exist.
  ['%2e%2e/secret.txt', 'not_found'],
  ['%2e%2e%2fsecret.txt', 'not_found'],
  ['..%2fsecret.txt', 'not_found'],
  ['..%c0%afsecret.txt', 'not_found'],
  ['．．/secret.txt', 'not_found'],
  ['..;/secret.txt', 'not_found'],
  ['.../secret.txt', 'not_found'],
  ['~/secret.txt', 'not_found'],
  ['file:secret.txt', 'not_found'],
];

describe.each([
  { way: 'through /proc', anchored: true },
  { way: 'without /proc', anchored: false },
])('file tools $way', ({ anchored }) => {
  it.each(TRAVERSALS)('refuse to read %j', async (path, code) => {
    const { root } = await makeRoot({ 'a/x.txt': 'x' });
    const { read } = toolsFor(root, { anchored });
    expect(await faultOf(use(read, { path }))).toBe(`${code} path`);
  });

  it.each(TRAVERSALS.filter(([, code]) => code !== 'not_found'))('refuse to write %j', async (path, code) => {
    const { base, root } = await makeRoot();
    const { write } = toolsFor(root, { anchored });
    expect(await faultOf(use(write, { path, content: 'x' }))).toBe(`${code} path`);
    expect(await readdir(root)).toEqual([]);
    expect((await readdir(base)).sort()).toEqual(['outside', 'root', 'secret.txt']);
  });

  it.each(['../outside', '..', '/', 'a/../..'])('refuse to list and search %j', async (path) => {
    const { root } = await makeRoot();
    const { list, search } = toolsFor(root, { anchored });
    expect(await faultOf(use(list, { path }))).toBe('path_outside_root path');
    expect(await faultOf(use(search, { path, query: 'secret' }))).toBe('path_outside_root path');
  });

  it('follow no link: not as the file, not as a folder above it, not to a place inside the root', async () => {
    const { base, root } = await makeRoot({ 'a/x.txt': 'x' });
    await symlink(join(base, 'secret.txt'), join(root, 'file-link'));
    await symlink('../outside', join(root, 'folder-link'));
    await symlink('a', join(root, 'inner-link'));
    await symlink('loop', join(root, 'loop'));
    const { read, write, list } = toolsFor(root, { anchored });
    for (const path of ['file-link', 'folder-link/secret.txt', 'inner-link/x.txt', 'loop', 'loop/x']) {
      expect(await faultOf(use(read, { path }))).toBe('link_refused path');
      expect(await faultOf(use(write, { path, content: 'overwritten' }))).toBe('link_refused path');
    }
    expect(await faultOf(use(list, { path: 'folder-link' }))).toBe('link_refused path');
    expect(await readFile(join(base, 'secret.txt'), 'utf8')).toBe(SECRET);
    expect(await readFile(join(base, 'outside/secret.txt'), 'utf8')).toBe(SECRET);
    expect(await readFile(join(root, 'a/x.txt'), 'utf8')).toBe('x');
  });

  it('write through no link that points to nothing yet', async () => {
    const { base, root } = await makeRoot();
    await symlink(join(base, 'created.txt'), join(root, 'dangling'));
    await symlink(join(base, 'created'), join(root, 'dangling-folder'));
    const { write } = toolsFor(root, { anchored });
    expect(await faultOf(use(write, { path: 'dangling', content: 'x' }))).toBe('link_refused path');
    expect(await faultOf(use(write, { path: 'dangling-folder/x', content: 'x' }))).toBe('link_refused path');
    expect((await readdir(base)).sort()).toEqual(['outside', 'root', 'secret.txt']);
  });

  it('list links as links and search neither them nor what they point to', async () => {
    const { base, root } = await makeRoot({ 'a/x.txt': 'a secret inside' });
    await symlink(join(base, 'outside'), join(root, 'b'));
    await symlink(join(base, 'secret.txt'), join(root, 'c.txt'));
    const { list, search } = toolsFor(root, { anchored });
    expect(await use(list, { pattern: '**' })).toEqual({
      entries: [
        { path: 'a', type: 'directory' },
        { path: 'a/x.txt', type: 'file' },
        { path: 'b', type: 'link' },
        { path: 'c.txt', type: 'link' },
      ],
      truncated: false,
    });
    expect(await use(search, { query: 'secret' })).toEqual({
      matches: [{ path: 'a/x.txt', line: 1, text: 'a secret inside' }],
      files: 1,
      skipped: 0,
      truncated: false,
    });
  });

  it('never read outside when a folder is swapped for a link after it was opened', async () => {
    const { base, root } = await makeRoot({ 'a/secret.txt': 'inside' });
    const { confined } = toolsFor(root, { anchored });
    const seen = await confined
      .within(['a'], { field: 'path' }, async (folder) => {
        await rename(join(root, 'a'), join(root, 'moved'));
        await symlink(join(base, 'outside'), join(root, 'a'));
        return await readText(folder, 'secret.txt', 'path', 1000);
      })
      .catch((error) => error.code);
    // The folder that was opened is the one that is read; without /proc the swap is noticed instead.
    expect(seen).toBe(anchored ? 'inside' : 'link_refused');
  });

  it('never list outside when a folder is swapped for a link after it was opened', async () => {
    const { base, root } = await makeRoot({ 'a/inside.txt': 'inside' });
    const { confined } = toolsFor(root, { anchored });
    const seen = await confined
      .within(['a'], { field: 'path' }, async (folder) => {
        await rename(join(root, 'a'), join(root, 'moved'));
        await symlink(join(base, 'outside'), join(root, 'a'));
        return (await folder.entries(10)).entries.map((entry) => entry.name);
      })
      .catch((error) => error.code);
    expect(seen).toEqual(anchored ? ['inside.txt'] : 'link_refused');
  });

  it('notice that a folder was swapped for another one inside the root', async () => {
    const { root } = await makeRoot({ 'a/first.txt': '1', 'b/second.txt': '2' });
    const { confined } = toolsFor(root, { anchored });
    const seen = await confined
      .within(['a'], { field: 'path' }, async (folder) => {
        await rename(join(root, 'a'), join(root, 'moved'));
        await rename(join(root, 'b'), join(root, 'a'));
        return (await folder.entries(10)).entries.map((entry) => entry.name);
      })
      .catch((error) => error.code);
    expect(seen).toEqual(anchored ? ['first.txt'] : 'link_refused');
  });

  it('never write outside when a folder is swapped for a link after it was opened', async () => {
    const { base, root } = await makeRoot({ 'a/x': 'old' });
    const { confined } = toolsFor(root, { anchored });
    const outcome = await confined
      .within(['a'], { field: 'path' }, async (folder) => {
        await rename(join(root, 'a'), join(root, 'moved'));
        await symlink(join(base, 'outside'), join(root, 'a'));
        await folder.replace('secret.txt', Buffer.from('overwritten'), 'path');
        return 'written';
      })
      .catch((error) => error.code);
    expect(outcome).toBe(anchored ? 'written' : 'link_refused');
    expect(await readdir(join(base, 'outside'))).toEqual(['secret.txt']);
    expect(await readFile(join(base, 'outside/secret.txt'), 'utf8')).toBe(SECRET);
    expect((await readdir(join(root, 'moved'))).sort()).toEqual(anchored ? ['secret.txt', 'x'] : ['x']);
  });

  it('neither read nor write through a link that comes and goes', async () => {
    const { base, root } = await makeRoot({ 'a.txt': 'old' });
    const { write, read } = toolsFor(root, { anchored });
    // The swapping goes on in another process, so that it happens between any two steps of the tools.
    const swapper = execSwapper(root, join(base, 'secret.txt'));
    try {
      for (let i = 0; i < 60; i++) {
        await use(write, { path: 'a.txt', content: `new ${i}` }).catch(() => null);
        const seen = await use(read, { path: 'a.txt' }).catch(() => null);
        expect(JSON.stringify(seen)).not.toContain(SECRET);
      }
    } finally {
      swapper.kill();
      await once(swapper, 'exit');
    }
    expect(await readFile(join(base, 'secret.txt'), 'utf8')).toBe(SECRET);
  });

  it('never read outside the root, whatever the path is made of', async () => {
    const { base, root } = await makeRoot({ 'a/b/secret.txt': 'inside', 'secret.txt': 'inside' });
    await symlink(base, join(root, 'up'));
    await symlink('..', join(root, 'a', 'up'));
    await symlink('/', join(root, 'a', 'b', 'top'));
    const { read, list } = toolsFor(root, { anchored });
    const segment = fc.constantFrom(
      ...[
        '..',
        '.',
        '',
        '/',
        '//',
        '%2e%2e',
        '..%2f',
        '\\',
        '..\\',
        '\u0000',
        'a',
        'b',
        'up',
        'top',
        'root',
        'outside',
      ],
      ...['secret.txt', '~', 'C:', '．．', '‥', base, root],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { maxLength: 8 }), fc.constantFrom('/', '', '\\'), async (segments, glue) => {
        const path = segments.join(glue);
        const seen = await use(read, { path }).catch((error) => error.code);
        expect(typeof seen === 'string' || (seen as { text: string }).text === 'inside').toBe(true);
        const listed = await use(list, { path }).catch((error) => error.code);
        expect(JSON.stringify(listed)).not.toContain('outside/');
        expect(JSON.stringify(listed)).not.toContain('"path":"outside"');
      }),
      { numRuns: 300 },
    );
  });

  it('write only below the root, whatever the path is made of', async () => {
    const { base, root } = await makeRoot({ 'a/x': 'x' });
    await symlink(base, join(root, 'up'));
    const { write } = toolsFor(root, { anchored });
    const segment = fc.constantFrom('..', '.', '', 'a', 'up', 'new', 'outside', 'secret.txt', '%2e%2e', '..%2f', 'x');
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { minLength: 1, maxLength: 5 }), async (segments) => {
        await use(write, { path: segments.join('/'), content: 'written' }).catch((error) => error.code);
        expect((await readdir(base)).sort()).toEqual(['outside', 'root', 'secret.txt']);
        expect(await readdir(join(base, 'outside'))).toEqual(['secret.txt']);
        expect(await readFile(join(base, 'secret.txt'), 'utf8')).toBe(SECRET);
      }),
      { numRuns: 150 },
    );
  });
});

function execSwapper(root: string, target: string) {
  const script = `
    const fs = require('node:fs');
    const [a, t] = [${JSON.stringify(join(root, 'a.txt'))}, ${JSON.stringify(target)}];
    for (;;) {
      try { fs.rmSync(a, { force: true }); fs.symlinkSync(t, a); } catch {}
      try { fs.rmSync(a, { force: true }); fs.writeFileSync(a, 'fresh', { flag: 'wx' }); } catch {}
    }`;
  return spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
}

describe('read_file', () => {
  it('reads a text as it is, with its byte order mark and line ends', async () => {
    const text = '\ufeffgrüß\r\ngott\n';
    const { root } = await makeRoot({ 'deep/er/x.txt': text });
    const { read } = toolsFor(root);
    expect(await use(read, { path: './deep//er/x.txt' })).toEqual({ path: 'deep/er/x.txt', text, lines: 2 });
  });

  it('reads some lines', async () => {
    const { root } = await makeRoot({ x: '1\n2\n3\n4\n5\n' });
    const { read } = toolsFor(root);
    expect(await use(read, { path: 'x', first_line: 2, max_lines: 2 })).toEqual({ path: 'x', text: '2\n3', lines: 5 });
    expect(await use(read, { path: 'x', first_line: 5 })).toEqual({ path: 'x', text: '5', lines: 5 });
    expect(await use(read, { path: 'x', first_line: 6 })).toEqual({ path: 'x', text: '', lines: 5 });
  });

  it('tells missing files, folders, files used as folders, pipes and forbidden files apart', async () => {
    const { root } = await makeRoot({ 'a/x': 'x', closed: 'x' });
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const { read } = toolsFor(root);
    expect(await faultOf(use(read, { path: 'missing' }))).toBe('not_found path');
    expect(await faultOf(use(read, { path: 'missing/x' }))).toBe('not_found path');
    expect(await faultOf(use(read, { path: 'a' }))).toBe('not_a_file path');
    expect(await faultOf(use(read, { path: '.' }))).toBe('not_a_file path');
    expect(await faultOf(use(read, { path: 'a/x/y' }))).toBe('not_a_directory path');
    expect(await faultOf(use(read, { path: 'pipe' }))).toBe('not_a_file path');
    if (process.getuid?.() !== 0) {
      await chmod(join(root, 'closed'), 0);
      expect(await faultOf(use(read, { path: 'closed' }))).toBe('access_denied path');
    }
  });

  it('never names the real place of the root in an error', async () => {
    const { base, root } = await makeRoot({ 'a/x': 'x' });
    const { read } = toolsFor(root);
    for (const path of ['missing', 'a', 'a/x/y', '../x', '/etc']) {
      expect((await errorOf(use(read, { path }))).message).not.toContain(base);
    }
    await rm(root, { recursive: true });
    const error = await errorOf(use(read, { path: 'x' }));
    expect(error.code).toBe('root_unavailable');
    expect(error.message).not.toContain(base);
  });

  it.each([
    ['a NUL byte', Buffer.from('a\u0000b')],
    ['bytes that are not UTF-8', Buffer.from([0x66, 0xff, 0xfe])],
    ['an overlong encoding of a slash', Buffer.from([0xc0, 0xaf])],
  ])('refuses %s as binary', async (_, bytes) => {
    const { root } = await makeRoot({ x: bytes });
    expect(await faultOf(use(toolsFor(root).read, { path: 'x' }))).toBe('binary_file path');
  });

  it('takes a text of exactly the limit, refuses one byte more, and reads parts of that', async () => {
    const { root } = await makeRoot({ fits: 'a'.repeat(MAX_TEXT_BYTES), over: `b\n${'a'.repeat(MAX_TEXT_BYTES - 1)}` });
    const { read } = toolsFor(root);
    expect(await use(read, { path: 'fits' })).toMatchObject({ lines: 1 });
    expect(await faultOf(use(read, { path: 'over' }))).toBe('file_too_large path');
    expect(await use(read, { path: 'over', max_lines: 1 })).toMatchObject({ text: 'b', lines: 2 });
    expect(await faultOf(use(read, { path: 'over', max_lines: 2 }))).toBe('file_too_large max_lines');
  });

  it('refuses a huge file without reading it', async () => {
    const { root } = await makeRoot({ huge: '' });
    await truncate(join(root, 'huge'), 50 * 1024 ** 3);
    const error = await errorOf(use(toolsFor(root).read, { path: 'huge', max_lines: 1 }));
    expect([error.code, error.field]).toEqual(['file_too_large', 'path']);
    expect(error.message).toContain(String(MAX_FILE_BYTES));
  });

  it('reads a root that is itself a link', async () => {
    const { base, root } = await makeRoot({ x: 'x' });
    await symlink(root, join(base, 'alias'));
    expect(await use(toolsFor(join(base, 'alias')).read, { path: 'x' })).toMatchObject({ text: 'x' });
  });
});

describe('write_file', () => {
  it('creates a file and the folders above it, and says what it wrote', async () => {
    const { root } = await makeRoot();
    const { write } = toolsFor(root);
    expect(await use(write, { path: 'a/b/x.txt', content: 'grüß' })).toEqual({
      path: 'a/b/x.txt',
      bytes: 6,
      sha256: '0be03191333143d96baa686cb1084f775f1d73d7d580b35367694594f4904c48',
    });
    expect(await readFile(join(root, 'a/b/x.txt'), 'utf8')).toBe('grüß');
  });

  it('gives the same answer and the same file when it is repeated, at once or later', async () => {
    const { root } = await makeRoot();
    const { write } = toolsFor(root);
    const answers = await Promise.all(Array.from({ length: 8 }, () => use(write, { path: 'a/b/x', content: 'same' })));
    answers.push(await use(write, { path: 'a/b/x', content: 'same' }));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await readFile(join(root, 'a/b/x'), 'utf8')).toBe('same');
    expect(await readdir(join(root, 'a/b'))).toEqual(['x']);
  });

  it('replaces the file instead of changing it, and keeps its mode', async () => {
    const { root } = await makeRoot({ x: 'old' });
    await chmod(join(root, 'x'), 0o640);
    await link(join(root, 'x'), join(root, 'other-name'));
    await use(toolsFor(root).write, { path: 'x', content: 'new' });
    expect(await readFile(join(root, 'x'), 'utf8')).toBe('new');
    expect(await readFile(join(root, 'other-name'), 'utf8')).toBe('old');
    expect((await stat(join(root, 'x'))).mode & 0o777).toBe(0o640);
  });

  it('shows a reader the old content or the new, never a part', async () => {
    const [old, fresh] = ['o'.repeat(300_000), 'n'.repeat(300_000)];
    const { root } = await makeRoot({ x: old });
    const { write } = toolsFor(root);
    let writing = true;
    const writes = (async () => {
      for (let i = 0; i < 20; i++) await use(write, { path: 'x', content: i % 2 === 0 ? fresh : old });
      writing = false;
    })();
    const seen = new Set<boolean>();
    while (writing) {
      const text = await readFile(join(root, 'x'), 'utf8');
      seen.add(text === old || text === fresh);
    }
    await writes;
    expect([...seen]).toEqual([true]);
  });

  it('leaves nothing behind when it fails, and refuses what is not a file', async () => {
    const { root } = await makeRoot({ 'folder/x': 'x', file: 'x' });
    const { write } = toolsFor(root);
    expect(await faultOf(use(write, { path: 'folder', content: 'x' }))).toBe('not_a_file path');
    expect(await faultOf(use(write, { path: 'file/below', content: 'x' }))).toBe('not_a_directory path');
    expect(await faultOf(use(write, { path: '.', content: 'x' }))).toBe('not_a_file path');
    expect((await readdir(root)).sort()).toEqual(['file', 'folder']);
  });

  it('takes content of exactly the limit in bytes, not in characters', async () => {
    const { root } = await makeRoot();
    const { write } = toolsFor(root);
    expect(await use(write, { path: 'x', content: 'a'.repeat(1024 * 1024) })).toMatchObject({ bytes: 1024 * 1024 });
    expect(await faultOf(use(write, { path: 'y', content: `${'a'.repeat(1024 * 1024 - 1)}ü` }))).toBe(
      'content_too_large content',
    );
    expect(await faultOf(use(write, { path: 'y', content: 'a'.repeat(1024 * 1024 + 1) }))).toBe(
      'invalid_arguments content',
    );
    expect(await faultOf(use(write, { path: 'y', content: '\ud800' }))).toBe('invalid_arguments content');
    expect(await readdir(root)).toEqual(['x']);
  });

  it('never shows an unfinished write to the other tools', async () => {
    const { root } = await makeRoot({ '.proctor-0e2d5c4a-0e1b-4ee0-8bb1-bcd0b6f0d0b2.tmp': 'half', x: 'half' });
    const { list, search } = toolsFor(root);
    expect(await use(list, {})).toMatchObject({ entries: [{ path: 'x', type: 'file' }] });
    expect(await use(search, { query: 'half' })).toMatchObject({ matches: [{ path: 'x' }], files: 1 });
  });
});

describe('list_files', () => {
  const FILES = { 'a.md': '', 'b.txt': '', 'src/c.md': '', 'src/deep/d.md': '', '.hidden/e.md': '', '[id].ts': '' };

  it.each([
    ['*', ['.hidden', '[id].ts', 'a.md', 'b.txt', 'src']],
    ['*.md', ['a.md']],
    ['**/*.md', ['.hidden/e.md', 'a.md', 'src/c.md', 'src/deep/d.md']],
    ['src/*', ['src/c.md', 'src/deep']],
    ['src/**', ['src', 'src/c.md', 'src/deep', 'src/deep/d.md']],
    ['?.txt', ['b.txt']],
    ['**/deep/**', ['src/deep', 'src/deep/d.md']],
  ])('finds %s', async (pattern, expected) => {
    const { root } = await makeRoot(FILES);
    const listed = (await use(toolsFor(root).list, { pattern })) as { entries: { path: string }[] };
    expect(listed.entries.map((entry) => entry.path)).toEqual(expected);
  });

  it('lists below a folder, with paths from the root', async () => {
    const { root } = await makeRoot(FILES);
    expect(await use(toolsFor(root).list, { path: 'src', pattern: '*.md' })).toEqual({
      entries: [{ path: 'src/c.md', type: 'file' }],
      truncated: false,
    });
    expect(await faultOf(use(toolsFor(root).list, { path: 'a.md' }))).toBe('not_a_directory path');
    expect(await faultOf(use(toolsFor(root).list, { path: 'none' }))).toBe('not_found path');
  });

  it('says when it left something out', async () => {
    const { root } = await makeRoot({ a: '', b: '', c: '' });
    const { list } = toolsFor(root);
    expect(await use(list, { limit: 2 })).toMatchObject({ entries: [{ path: 'a' }, { path: 'b' }], truncated: true });
    expect(await use(list, { limit: 3 })).toMatchObject({ truncated: false });
    await mkdir(join(root, ...Array.from({ length: 34 }, () => 'd')), { recursive: true });
    expect(await use(list, { pattern: '**/x' })).toEqual({ entries: [], truncated: true });
  });

  it('gives the event loop its turns in a folder of thousands', async () => {
    const { root } = await makeRoot(Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`f${i}`, ''])));
    let turns = 0;
    const count = () => {
      turns++;
      counting = setImmediate(count);
    };
    let counting = setImmediate(count);
    await use(toolsFor(root).list, { pattern: '*a*b*c' });
    clearImmediate(counting);
    expect(turns).toBeGreaterThanOrEqual(3_000 / 200);
  });

  it('stops when it is aborted', async () => {
    const { root } = await makeRoot({ a: '' });
    expect(await faultOf(use(toolsFor(root).list, {}, AbortSignal.abort()))).toBe('aborted');
  });
});

describe('search_files', () => {
  it('finds plain text, in which nothing has a special meaning', async () => {
    const { root } = await makeRoot({
      'a.txt': 'one\r\na.c\nabc\n',
      'b/c.md': 'x a.c y',
      'd.bin': Buffer.from([0, 1]),
    });
    expect(await use(toolsFor(root).search, { query: 'a.c' })).toEqual({
      matches: [
        { path: 'a.txt', line: 2, text: 'a.c' },
        { path: 'b/c.md', line: 1, text: 'x a.c y' },
      ],
      files: 2,
      skipped: 1,
      truncated: false,
    });
  });

  it('finds regular expressions, with and without case', async () => {
    const { root } = await makeRoot({ 'a.txt': 'Error 12\nerror x\nfine', 'b.md': 'error 9' });
    const { search } = toolsFor(root);
    expect(await use(search, { query: '^error \\d+$', regex: true, ignore_case: true })).toMatchObject({
      matches: [
        { path: 'a.txt', line: 1 },
        { path: 'b.md', line: 1 },
      ],
    });
    expect(await use(search, { query: '^error', regex: true, pattern: '*.txt' })).toMatchObject({
      matches: [{ path: 'a.txt', line: 2 }],
    });
    expect(await use(search, { query: 'ERROR X', ignore_case: true })).toMatchObject({ matches: [{ line: 2 }] });
  });

  it('refuses a regular expression that is none', async () => {
    const { root } = await makeRoot({ a: 'a' });
    expect(await faultOf(use(toolsFor(root).search, { query: '(', regex: true }))).toBe('invalid_pattern query');
  });

  it.each(['(a+)+$', '(a|a)*$', '^(([a-z])+.)+[A-Z]([a-z])+$'])(
    'ends a regular expression that would run for ever: %s',
    async (query) => {
      const { root } = await makeRoot({ 'a.txt': `${'a'.repeat(60)}!` });
      const limits = { ...SEARCH_LIMITS, regexMs: 400 };
      const work = use(searchFilesTool(new ConfinedRoot(root), realClock, limits), { query, regex: true });
      // It fails only once the thread is gone.
      expect(await faultOf(work)).toBe('too_slow query');
    },
  );

  it('ends a regular expression when the call is aborted', async () => {
    const { root } = await makeRoot({ 'a.txt': `${'a'.repeat(60)}!` });
    const stop = new AbortController();
    const work = use(toolsFor(root).search, { query: '(a+)+$', regex: true }, stop.signal);
    const fault = faultOf(work);
    setImmediate(() => stop.abort());
    expect(await fault).toBe('aborted');
  });

  it('keeps its result small', async () => {
    const { root } = await makeRoot({ a: `${'x'.repeat(1000)}\n`.repeat(900), b: 'x' });
    const { search } = toolsFor(root);
    const few = (await use(search, { query: 'x', limit: 3 })) as { matches: { text: string }[]; truncated: boolean };
    expect([few.matches.length, few.truncated]).toEqual([3, true]);
    expect(few.matches[0]?.text.length).toBe(SEARCH_LIMITS.lineChars);
    const all = (await use(search, { query: 'x', limit: 1000 })) as { truncated: boolean };
    expect(all.truncated).toBe(true);
    expect(JSON.stringify(all).length).toBeLessThan(SEARCH_LIMITS.resultBytes + 1000);
  });

  it('passes over huge files and pipes', async () => {
    const { root } = await makeRoot({ huge: '', small: 'needle' });
    await truncate(join(root, 'huge'), 10 * 1024 ** 3);
    execFileSync('mkfifo', [join(root, 'pipe')]);
    expect(await use(toolsFor(root).search, { query: 'needle' })).toMatchObject({
      matches: [{ path: 'small' }],
      files: 1,
      skipped: 1,
    });
  });
});

describe('arguments', () => {
  it('cannot pollute prototypes or bring keys that nobody declared', async () => {
    const { root } = await makeRoot({ x: 'x' });
    const { read } = toolsFor(root);
    const args = JSON.parse('{"path":"x","__proto__":{"first_line":9}}');
    expect(await faultOf(use(read, args))).toBe('invalid_arguments args');
    expect(await faultOf(use(read, { path: 'x', constructor: { prototype: { evil: true } } }))).toBe(
      'invalid_arguments args',
    );
    expect('evil' in {}).toBe(false);
    expect(await faultOf(use(read, { path: ['..', 'secret.txt'] }))).toBe('invalid_arguments path');
    expect(await faultOf(use(read, {}))).toBe('invalid_arguments path');
    expect(await faultOf(use(read, { path: '' }))).toBe('invalid_arguments path');
  });
});
