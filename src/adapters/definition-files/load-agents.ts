import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type AgentDefinition, BUILT_IN_AGENT } from '../../core/agent.ts';
import { type CheckedAgent, checkAgent } from '../../core/agent-input.ts';
import { AppError, clip, toAppError } from '../../core/errors.ts';
import type { WrittenFault } from '../../core/written-faults.ts';
import { readModule } from './module-file.ts';
import { readJson, readText, readYaml } from './text-file.ts';
import type { WrittenAgent } from './written-agent.ts';

/**
 * Agent definitions from files: YAML, JSON, and TypeScript or JavaScript modules, one agent or several a file. A folder
 * is read without its sub-folders; files of other kinds and hidden ones are passed over. Modules are run: read no folder
 * that you would not run a program from.
 */

/** Largest file, bytes. */
const MAX_BYTES = 256 * 1024;

type Read = (path: string, text: string) => WrittenAgent[] | Promise<WrittenAgent[]>;
const READERS: Record<string, Read> = {
  '.yaml': (_path, text) => readYaml(text),
  '.yml': (_path, text) => readYaml(text),
  '.json': (_path, text) => readJson(text),
  '.ts': readModule,
  '.mts': readModule,
  '.js': readModule,
  '.mjs': readModule,
};

/** Endings of the files that are read. */
const ENDINGS = Object.keys(READERS);

export interface LoadedAgent {
  definition: AgentDefinition;
  /** Path of its file, as it was reached. */
  file: string;
}

/**
 * The agents of a folder or of one file, by file name. Throws AppError `invalid_agent` with all faults of all files, a
 * line each (`file:line: field: what was expected`), and `no_agents` when there is nothing to read.
 */
export async function loadAgents(path: string): Promise<LoadedAgent[]> {
  const files = await filesOf(path);
  const faults: string[] = [];
  const loaded: LoadedAgent[] = [];
  for (const file of files) {
    try {
      const written = await readAgents(file);
      for (const [index, one] of written.entries()) {
        const which = written.length === 1 || one.line([]) !== null ? '' : `agent ${index + 1}: `;
        const checked = checkWritten(one.value);
        if ('definition' in checked) loaded.push({ definition: checked.definition, file });
        else
          for (const fault of checked.faults)
            faults.push(`${place(file, one.line(fault.path))}: ${which}${fault.text}`);
      }
    } catch (thrown) {
      faults.push(`${file}: ${oneLine(toAppError(thrown).message)}`);
    }
  }
  faults.push(...twice(loaded));
  if (faults.length > 0) throw new AppError('invalid_agent', faults.join('\n'));
  return loaded;
}

async function filesOf(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => null);
  if (found === null) throw new AppError('no_agents', `${path}: there is no such file or folder`);
  if (!found.isDirectory()) {
    if (ENDINGS.includes(extname(path))) return [path];
    throw new AppError('no_agents', `${path}: expected a folder, or a file that ends in ${ENDINGS.join(', ')}`);
  }
  const names = (await readdir(path)).filter((name) => !name.startsWith('.') && !name.endsWith('.d.ts')).sort();
  const files: string[] = [];
  for (const name of names) {
    const file = join(path, name);
    // Followed, not asked of the entry: a mounted folder may hold links.
    if (ENDINGS.includes(extname(name)) && (await stat(file).catch(() => null))?.isDirectory() !== true)
      files.push(file);
  }
  if (files.length > 0) return files;
  throw new AppError('no_agents', `${path}: holds no agents; expected files that end in ${ENDINGS.join(', ')}`);
}

async function readAgents(file: string): Promise<WrittenAgent[]> {
  const text = await readText(file, MAX_BYTES);
  const agents = await READERS[extname(file)]?.(file, text);
  if (agents !== undefined && agents.length > 0) return agents;
  throw new AppError('invalid_agent', 'holds no agent');
}

function checkWritten(value: unknown): CheckedAgent {
  const { version, name } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const faults: WrittenFault[] = [];
  if (name === BUILT_IN_AGENT) {
    faults.push({ path: ['name'], text: `name: "${name}" comes with Proctor: choose another` });
  }
  // 1.10 is written as a version and read as the number 1.1.
  if (typeof version === 'number' && !Number.isSafeInteger(version)) {
    faults.push({ path: ['version'], text: 'version: expected quotes around it, such as "1.10"' });
  }
  const checked = checkAgent(typeof version === 'number' ? { ...(value as object), version: String(version) } : value);
  if (faults.length === 0) return checked;
  return { faults: 'faults' in checked ? [...faults, ...checked.faults] : faults };
}

function twice(loaded: LoadedAgent[]): string[] {
  const first = new Map<string, string>();
  return loaded.flatMap(({ definition: { name }, file }) => {
    const before = first.get(name);
    if (before === undefined) first.set(name, file);
    if (before === undefined) return [];
    return [`${file}: name: agent "${name}" is defined in ${before === file ? 'this file' : before} already`];
  });
}

function place(file: string, line: number | null): string {
  return line === null ? file : `${file}:${line}`;
}

function oneLine(text: string): string {
  return clip(text.split('\n', 1)[0] ?? '', 1_000).replace(/:$/, '');
}
