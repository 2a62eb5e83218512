import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * A copy of this build without the lines that tell telemetry what happens: what the runtime would cost had there never
 * been any. It lies beside the build, so that it finds the same packages.
 */

/** Modules of the runtime where runs tell of themselves, and how many lines of each do. */
export const TELLING: Readonly<Record<string, number>> = {
  'run-owner': 1,
  activations: 2,
  ending: 1,
  call: 1,
  delegate: 1,
  intake: 2,
};
export const TELLING_LINE = /^.*\btelemetry\?\.(?:folded|claimed|ended|traceparent|metrics\?\.task)\b.*[;,]\n/gm;

export interface Without {
  /** URL of a module of the copy's benchmarks, for `startChild`. */
  base: string;
  remove(): Promise<void>;
}

export async function withoutTelemetry(): Promise<Without> {
  const build = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  if (import.meta.url.endsWith('.ts')) throw new Error('this needs the build: npm run bench -- telemetry');
  const copy = await mkdtemp(`${build}.without-`);
  await cp(build, copy, { recursive: true });
  for (const [module, expected] of Object.entries(TELLING)) {
    const path = join(copy, 'src/runtime', `${module}.js`);
    const text = await readFile(path, 'utf8');
    const found = text.match(TELLING_LINE)?.length ?? 0;
    if (found !== expected) throw new Error(`${module}: ${found} lines tell telemetry something, expected ${expected}`);
    await writeFile(path, text.replace(TELLING_LINE, ''));
  }
  return {
    base: pathToFileURL(join(copy, 'bench/steps/cells.js')).href,
    remove: () => rm(copy, { recursive: true, force: true }),
  };
}
