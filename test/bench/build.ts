import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The drills as programs: built from the sources as they stand into a folder of their own, types unchecked. */
export interface BuiltDrills {
  /** Runs a drill with `--json`; its figures, its exit code, and what it said on the way. */
  run(drill: string, args: string[], cwd?: string): Promise<Finished>;
  remove(): Promise<void>;
}

export interface Finished {
  code: number | null;
  figures: Record<string, unknown>;
  said: string;
}

const root = process.cwd();

export async function buildDrills(): Promise<BuiltDrills> {
  // Below the root, so that packages are found.
  const dir = await mkdtemp(join(root, 'dist.drills-'));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--noCheck', '--declaration', 'false', '--outDir', dir];
  await promisify(execFile)(process.execPath, args, { cwd: root });
  return {
    run: (drill, options, cwd = root) => runDrill(join(dir, 'bench', `${drill}.js`), [...options, '--json'], cwd),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

function runDrill(file: string, args: string[], cwd: string): Promise<Finished> {
  const child = spawn(process.execPath, [file, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const last = out.trim().split('\n').at(-1) ?? '';
      resolve({ code, figures: last === '' ? {} : (JSON.parse(last) as Record<string, unknown>), said });
    });
  });
}
