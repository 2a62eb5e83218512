import { randomUUID } from 'node:crypto';
import { constants, existsSync, type Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, opendir, realpath, rename, rm, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { AppError } from '../../core/errors.ts';
import { fileError } from './paths.ts';

/**
 * The one folder that the file tools live in. Symbolic links below it are never followed, wherever they point.
 *
 * Paths are walked one segment at a time, each opened without following links, and the next one is opened *relative to
 * the open folder* (on Linux through /proc/self/fd): somebody who swaps a folder for a link in between changes nothing,
 * because the folder that was checked is the one that is used. Where /proc is missing, each opened file is compared
 * with the real path afterwards: what lies outside is refused, but a new file could still be created through a link
 * that was swapped in at the wrong moment.
 */

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
const FD = '/proc/self/fd';
const TEMP = /^\.proctor-[0-9a-f-]{36}\.tmp$/;

export type EntryKind = 'file' | 'directory' | 'link' | 'other';

export class ConfinedRoot {
  readonly #path: string;
  readonly #anchored: boolean;

  /** `path` may itself be a link. `anchored` false forces the way for systems without /proc. */
  constructor(path: string, options: { anchored?: boolean } = {}) {
    this.#path = path;
    this.#anchored = options.anchored ?? (process.platform === 'linux' && existsSync(FD));
  }

  /**
   * Opens a folder and hands it to `action`, then closes it.
   * @param create makes the folders that are missing
   */
  async within<T>(
    segments: string[],
    options: { field: string; create?: boolean },
    action: (folder: Folder) => Promise<T>,
  ): Promise<T> {
    let folder = await this.#open();
    try {
      for (const segment of segments) {
        const next = await folder.enter(segment, options.field, options.create);
        await folder.close();
        folder = next;
      }
      return await action(folder);
    } finally {
      await folder.close();
    }
  }

  async #open(): Promise<Folder> {
    try {
      const real = await realpath(this.#path);
      return new Folder(await open(real, O_RDONLY | O_DIRECTORY), { real, root: real, anchored: this.#anchored }, '');
    } catch (cause) {
      throw new AppError('root_unavailable', 'The root folder of the file tools cannot be opened; ask the operator.', {
        cause,
      });
    }
  }
}

interface Place {
  real: string;
  root: string;
  anchored: boolean;
}

/** An open folder below the root. Whoever got it from `enter` closes it. */
export class Folder {
  readonly #handle: FileHandle;
  readonly #place: Place;
  /** Path below the root, as shown in messages; '' is the root. */
  readonly shown: string;

  constructor(handle: FileHandle, place: Place, shown: string) {
    this.#handle = handle;
    this.#place = place;
    this.shown = shown;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async enter(name: string, field: string, create = false): Promise<Folder> {
    const shown = this.#shownOf(name);
    try {
      const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
      const handle = await this.#open(name, flags).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT' || !create) throw error;
        await mkdir(this.#locate(name)).catch((failed: NodeJS.ErrnoException) => {
          if (failed.code !== 'EEXIST') throw failed;
        });
        return await this.#open(name, flags);
      });
      return new Folder(handle, { ...this.#place, real: join(this.#place.real, name) }, shown);
    } catch (thrown) {
      throw await this.#explain(thrown, name, field);
    }
  }

  /** Opens a regular file for reading; the caller closes it. */
  async file(name: string, field: string): Promise<{ handle: FileHandle; stats: Stats }> {
    try {
      // Without O_NONBLOCK, opening a named pipe would wait for its other end.
      const handle = await this.#open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const stats = await handle.stat().catch(() => null);
      if (stats?.isFile()) return { handle, stats };
      await handle.close();
    } catch (thrown) {
      throw await this.#explain(thrown, name, field);
    }
    throw new AppError('not_a_file', `"${this.#shownOf(name)}" is not a regular file.`, { field });
  }

  /** Replaces or creates a file in one step: a reader sees the old content or the new, never a part. */
  async replace(name: string, content: Uint8Array, field: string): Promise<void> {
    const temp = `.proctor-${randomUUID()}.tmp`;
    try {
      const old = await this.#statsOf(name);
      if (old !== null && !old.isFile()) {
        throw old.isSymbolicLink()
          ? new AppError('link_refused', `"${this.#shownOf(name)}" is a symbolic link; links are not followed.`, {
              field,
            })
          : new AppError('not_a_file', `"${this.#shownOf(name)}" is not a regular file.`, { field });
      }
      const handle = await this.#open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
      try {
        if (old !== null) await handle.chmod(old.mode & 0o777);
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(this.#locate(temp), this.#locate(name));
      await this.#handle.sync();
    } catch (thrown) {
      await rm(this.#locate(temp), { force: true }).catch(() => undefined);
      throw fileError(thrown, this.#shownOf(name), field);
    }
  }

  /** What the folder holds, by name, without unfinished writes; at most `max` entries are looked at. */
  async entries(max: number): Promise<{ entries: { name: string; kind: EntryKind }[]; truncated: boolean }> {
    const entries: { name: string; kind: EntryKind }[] = [];
    let truncated = false;
    const directory = await opendir(this.#place.anchored ? `${FD}/${this.#handle.fd}` : this.#place.real);
    for await (const entry of directory) {
      if (entries.length >= max) {
        truncated = true;
        break;
      }
      if (TEMP.test(entry.name)) continue;
      const kind = entry.isFile()
        ? 'file'
        : entry.isDirectory()
          ? 'directory'
          : entry.isSymbolicLink()
            ? 'link'
            : 'other';
      entries.push({ name: entry.name, kind });
    }
    await this.#verify(this.#handle, this.#place.real);
    return { entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)), truncated };
  }

  #shownOf(name: string): string {
    return this.shown === '' ? name : `${this.shown}/${name}`;
  }

  #locate(name: string): string {
    return this.#place.anchored ? `${FD}/${this.#handle.fd}/${name}` : join(this.#place.real, name);
  }

  async #open(name: string, flags: number): Promise<FileHandle> {
    const handle = await open(this.#locate(name), flags);
    try {
      await this.#verify(handle, join(this.#place.real, name));
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Without /proc: what was opened must be what the path names now, and that must lie below the root. */
  async #verify(handle: FileHandle, path: string): Promise<void> {
    if (this.#place.anchored) return;
    const { root } = this.#place;
    const real = await realpath(path);
    const [opened, named] = await Promise.all([handle.stat({ bigint: true }), stat(real, { bigint: true })]);
    const inside = real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
    if (!inside || opened.dev !== named.dev || opened.ino !== named.ino) {
      throw new AppError('link_refused', 'The path changed while it was used; links are not followed.', {
        field: 'path',
      });
    }
  }

  async #statsOf(name: string): Promise<Stats | null> {
    return await lstat(this.#locate(name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
  }

  /** The kernel says "not a directory" for a link that was not followed; the caller should learn which it is. */
  async #explain(thrown: unknown, name: string, field: string): Promise<AppError> {
    const error = fileError(thrown, this.#shownOf(name), field);
    if (error.code !== 'not_a_directory') return error;
    const stats = await this.#statsOf(name).catch(() => null);
    return stats?.isSymbolicLink()
      ? fileError(Object.assign(new Error(), { code: 'ELOOP' }), this.#shownOf(name), field)
      : error;
  }
}
