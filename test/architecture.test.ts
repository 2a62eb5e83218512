import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type IConfiguration, type ICruiseResult } from 'dependency-cruiser';
import { glob } from 'tinyglobby';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The rules are in .dependency-cruiser.cjs; here they are applied, and it is checked that they are. */

const root = fileURLToPath(new URL('..', import.meta.url));
const config: IConfiguration = createRequire(import.meta.url)('../.dependency-cruiser.cjs');
const FOLDERS = ['src', 'machines', 'supervisors'];

async function cruiseSources(baseDir: string): Promise<ICruiseResult> {
  const { output } = await cruise(FOLDERS, {
    ...config.options,
    baseDir,
    validate: true,
    ruleSet: { forbidden: config.forbidden ?? [] },
  });
  if (typeof output === 'string') throw new Error(output);
  return output;
}

function sourcesOf(result: ICruiseResult): string[] {
  return result.modules.map(({ source }) => source).filter((source) => /^(?:src|machines|supervisors)\//.test(source));
}

function faultsOf(result: ICruiseResult): string[] {
  return result.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}

function sorted(texts: string[]): string[] {
  return texts.toSorted((a, b) => (a < b ? -1 : 1));
}

describe('the sources', () => {
  let result: ICruiseResult;

  beforeAll(async () => {
    result = await cruiseSources(root);
  });

  it('are all examined', async () => {
    const onDisk = await glob(
      FOLDERS.map((folder) => `${folder}/**/*.ts`),
      { cwd: root, ignore: ['src/console/page/**'] },
    );
    expect(onDisk.length).toBeGreaterThan(50);
    expect(sorted(sourcesOf(result))).toEqual(sorted(onDisk));
    expect(result.summary.totalDependenciesCruised).toBeGreaterThan(onDisk.length);
  });

  it('import only what their folder may', () => {
    expect(faultsOf(result)).toEqual([]);
  });

  it('have a rule for each folder', () => {
    const folders = new Set(sourcesOf(result).map((source) => /^(?:src\/)?([^/]+)/.exec(source)?.[1]));
    const ruled = new Set((config.forbidden ?? []).map(({ name }) => name));
    for (const name of ['app', 'app.ts', 'index.ts', 'testing.ts']) folders.delete(name);
    expect([...folders].filter((folder) => folder === undefined || !ruled.has(folder))).toEqual([]);
  });

  it('of the page import what is bundled into it, and of what it shares with the gateway no more than types and the form that is signed', async () => {
    const allowed = /^(?:react|react-dom\/client|@tanstack\/react-virtual|\.{1,2}\/.*)$/;
    let checked = 0;
    for (const path of await glob('src/console/page/**/*.{ts,tsx}', { cwd: root, absolute: true })) {
      const text = await readFile(path, 'utf8');
      for (const [line, what = ''] of text.matchAll(/^(?:import|export)\b[^'"();=]*['"]([^'"]+)['"];/gm)) {
        checked++;
        expect(what, `${path}: ${line}`).toMatch(allowed);
        if (!what.startsWith('.')) continue;
        const target = join(dirname(path), what);
        if (target.startsWith(join(root, 'src/console/page/'))) continue;
        // What it signs must be written as nodes write it.
        if (/^import \{ canonicalText \} from .*\/core\/canonical\.ts';$/.test(line)) continue;
        expect(target, `${path}: ${line}`).toMatch(/src\/console\/(?:chart|wire)\.ts$/);
        expect(line, path).toMatch(/^import type /);
      }
    }
    expect(checked).toBeGreaterThan(50);
  });

  it('in src/ports import types only', async () => {
    for (const path of await glob('src/ports/**/*.ts', { cwd: root, absolute: true })) {
      const imports = (await readFile(path, 'utf8')).match(/^(?:import|export) .*from .*/gm) ?? [];
      for (const line of imports) expect(line, path).toMatch(/^(?:import|export) type /);
    }
  });
});

describe('the rules', () => {
  let baseDir: string;

  const FAULTY: Record<string, string> = {
    'machines/a.ts': "import '../src/ports/a.ts';",
    'supervisors/a.ts': "import '../machines/a.ts';",
    'src/core/a.ts': "import 'node:fs';",
    'src/core/cycle.ts': "import './cycle-2.ts';",
    'src/core/cycle-2.ts': "import type { X } from './cycle.ts'; export type Y = X;",
    'src/policy/a.ts': "import '../ports/a.ts';",
    'src/ports/a.ts': "import 'node:net';",
    'src/runtime/a.ts': "import '../adapters/one/a.ts';",
    'src/runtime/b.ts': "export const load = () => import('node:http');",
    'src/adapters/one/a.ts': "export * from '../two/a.ts';",
    'src/adapters/two/a.ts': "import '../../../machines/a.ts';",
    'src/worker/a.ts': "import '../runtime/c.ts';",
    'src/runtime/c.ts': "import '../cli/a.ts';",
    'src/client/a.ts': "import '../adapters/two/a.ts';",
    'src/cli/a.ts': "import '../ports/a.ts';",
    'src/cli/b.ts': "import './nowhere.ts';",
    'src/console/wire.ts': "import '../ports/a.ts';",
    'src/console/gateway/a.ts': "import '../../adapters/two/a.ts'; import '../../runtime/c.ts';",
    'src/app.ts': "import './adapters/one/a.ts'; import './runtime/a.ts'; import '../machines/a.ts';",
  };

  const EXPECTED = [
    'adapters: src/adapters/one/a.ts -> src/adapters/two/a.ts',
    'adapters: src/adapters/two/a.ts -> machines/a.ts',
    'cli: src/cli/a.ts -> src/ports/a.ts',
    'client: src/client/a.ts -> src/adapters/two/a.ts',
    'console-gateway: src/console/gateway/a.ts -> src/adapters/two/a.ts',
    'console-gateway: src/console/gateway/a.ts -> src/runtime/c.ts',
    'console: src/console/wire.ts -> src/ports/a.ts',
    'core: src/core/a.ts -> fs',
    'machines: machines/a.ts -> src/ports/a.ts',
    'nothing-imports-cli: src/runtime/c.ts -> src/cli/a.ts',
    'only-app-joins: src/client/a.ts -> src/adapters/two/a.ts',
    'only-app-joins: src/console/gateway/a.ts -> src/adapters/two/a.ts',
    'only-app-joins: src/runtime/a.ts -> src/adapters/one/a.ts',
    'policy: src/policy/a.ts -> src/ports/a.ts',
    'ports: src/ports/a.ts -> net',
    'runtime: src/runtime/a.ts -> src/adapters/one/a.ts',
    'runtime: src/runtime/b.ts -> http',
    'runtime: src/runtime/c.ts -> src/cli/a.ts',
    'supervisors: supervisors/a.ts -> machines/a.ts',
    'worker: src/worker/a.ts -> src/runtime/c.ts',
  ];

  beforeAll(async () => {
    baseDir = await mkdtemp(join(tmpdir(), 'proctor-architecture-'));
    for (const [path, text] of Object.entries(FAULTY)) {
      await mkdir(dirname(join(baseDir, path)), { recursive: true });
      await writeFile(join(baseDir, path), `${text}\nexport const x = 1;\n`);
    }
    await writeFile(join(baseDir, 'package.json'), '{"type":"module"}');
  });

  afterAll(() => rm(baseDir, { recursive: true, force: true }));

  it('find every fault that is planted', async () => {
    const found = sorted(faultsOf(await cruiseSources(baseDir)));
    expect(found.filter((fault) => !/^(?:no-cycles|resolvable)/.test(fault) && !fault.includes('nowhere'))).toEqual(
      EXPECTED,
    );
    expect(found.filter((fault) => fault.startsWith('no-cycles')).join()).toContain('src/core/cycle');
    expect(found).toContain('resolvable: src/cli/b.ts -> ./nowhere.ts');
  });
});
