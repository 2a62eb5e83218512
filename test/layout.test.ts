import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

/** What others rely on: names at the top of the repository, named packages, exact versions, a lock file that installs. */

const root = fileURLToPath(new URL('..', import.meta.url));
const Versions = z.record(z.string(), z.string());
const Manifest = z.object({
  scripts: Versions,
  bin: Versions,
  engines: z.object({ node: z.string() }),
  dependencies: Versions,
  devDependencies: Versions,
});
const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      dependencies: Versions.default({}),
      optionalDependencies: Versions.default({}),
      devDependencies: Versions.default({}),
      os: z.array(z.string()).optional(),
    }),
  ),
});

const manifest = Manifest.parse(JSON.parse(readFileSync(`${root}package.json`, 'utf8')));
const { packages } = Lock.parse(JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8')));

describe('the repository', () => {
  it.each([
    'package.json',
    'tsconfig.json',
    'src',
    'machines',
    'supervisors',
    'test',
    'docker-compose.yml',
    'README.md',
  ])('has %s at its top', (name) => {
    expect(existsSync(root + name)).toBe(true);
  });

  it.each(['.ci/run', 'bin/proctor.mjs'])('has %s, executable', (name) => {
    expect(statSync(root + name).mode & 0o111).not.toBe(0);
  });

  it('ignores build output and data', () => {
    const output = ['dist/x', 'dist.next/x', '.proctor/x', 'node_modules/x'];
    const ignored = execFileSync('git', ['check-ignore', ...output], { cwd: root, encoding: 'utf8' });
    expect(ignored.trim().split('\n')).toEqual(output);
  });
});

describe('package.json', () => {
  it.each(['xstate', '@nats-io/transport-node', '@nats-io/nkeys', 'zod', 'pino', '@opentelemetry/api', 'lru-cache'])(
    'names %s as a dependency',
    (name) => {
      expect(manifest.dependencies).toHaveProperty([name]);
    },
  );

  it('names vitest as a development dependency', () => {
    expect(manifest.devDependencies).toHaveProperty('vitest');
  });

  it('pins every version exactly', () => {
    const all = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(all.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it('runs the set-up before everything that needs a build', () => {
    const needBuild = Object.entries(manifest.scripts).filter(([, command]) => /^node (?:bin|dist)\//.test(command));
    expect(needBuild.length).toBeGreaterThan(3);
    for (const [name] of needBuild) expect(manifest.scripts[`pre${name}`], name).toBe('node scripts/setup.mjs');
    expect(manifest.scripts.pretest).toBe('node scripts/setup.mjs');
    expect(Object.keys(manifest.scripts)).not.toContain('postinstall');
  });
});

describe('package-lock.json', () => {
  it('has the versions that package.json names', () => {
    const { dependencies, devDependencies } = packages[''] ?? { dependencies: {}, devDependencies: {} };
    expect({ dependencies, devDependencies }).toEqual({
      dependencies: manifest.dependencies,
      devDependencies: manifest.devDependencies,
    });
  });

  // npm ci refuses a lock file that lacks one, even of another system: scripts/complete-lock.mjs adds them.
  it('has every optional package, also those of other systems', () => {
    const missing = Object.values(packages).flatMap((entry) =>
      Object.keys(entry.optionalDependencies).filter((name) => packages[`node_modules/${name}`] === undefined),
    );
    expect(missing).toEqual([]);
    expect(packages['node_modules/@biomejs/cli-darwin-arm64']?.os).toEqual(['darwin']);
  });
});
