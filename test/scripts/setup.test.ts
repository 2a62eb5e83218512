import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/**
 * The set-up in a small project of its own. It really builds; npm, apt-get and the like are scripts on a PATH that has
 * nothing else, so that each machine can be played.
 */

const repository = fileURLToPath(new URL('../..', import.meta.url));
let root: string;
let bin: string;
let environment: Record<string, string>;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'proctor-setup-'));
  bin = join(root, 'usr', 'bin');
  environment = { PATH: bin };
  await cp(join(repository, 'scripts'), join(root, 'scripts'), { recursive: true });
  await put('package.json', '{"type":"module"}');
  await put('package-lock.json', lockOf('1.0.0'));
  await cp(join(repository, 'tsconfig.json'), join(root, 'tsconfig.json'));
  await cp(join(repository, 'tsconfig.build.json'), join(root, 'tsconfig.build.json'));
  await put('src/greeting.ts', "export const greeting: string = 'hello';");
  await put('src/main.ts', "import { greeting } from './greeting.ts'; process.stdout.write(greeting);");
  await put('src/console/page/index.html', '<!doctype html><title>page</title>');
  await symlink(join(repository, 'node_modules'), join(root, 'modules'));
  await fake('npm', install);
  await fake('nats-server', 'exit 0');
});

afterEach(() => rm(root, { recursive: true, force: true }));

function lockOf(version: string): string {
  return JSON.stringify({ packages: { '': {}, 'node_modules/thing': { version } } });
}

/** What npm does as far as the set-up can see. */
const install = `
echo "npm $*" >> calls
rm -rf node_modules && mkdir -p node_modules/thing node_modules/@types
ln -s ../modules/typescript node_modules/typescript
ln -s ../../modules/@types/node node_modules/@types/node
ln -s ../modules/undici-types node_modules/undici-types
ln -s ../modules/vite node_modules/vite
cp package-lock.json node_modules/.package-lock.json`;

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

async function fake(name: string, script: string, folder = bin): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\ncd ${root}\n${script}\n`);
  await chmod(path, 0o755);
}

function setUp(...args: string[]): { status: number | null; said: string } {
  const script = join(root, 'scripts', 'setup.mjs');
  const { status, stderr } = spawnSync(process.execPath, [...args, script], { env: environment, encoding: 'utf8' });
  return { status, said: stderr };
}

async function calls(): Promise<string[]> {
  return (await readFile(join(root, 'calls'), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
}

function runBuild(): string {
  return spawnSync(process.execPath, [join(root, 'dist', 'src', 'main.js')], { encoding: 'utf8' }).stdout;
}

describe('the set-up of a fresh clone', () => {
  it('installs and builds, saying each in a line, and the build runs', async () => {
    const { status, said } = setUp();
    expect(said.split('\n').filter((line) => line.startsWith('proctor: '))).toEqual([
      'proctor: installing dependencies (npm ci --ignore-scripts)',
      'proctor: building (tsc -p tsconfig.build.json)',
      'proctor: building the page of the console (vite)',
      'proctor: ready',
    ]);
    expect(status).toBe(0);
    expect(await calls()).toEqual([expect.stringMatching(/^npm ci --ignore-scripts --include=dev/)]);
    expect(runBuild()).toBe('hello');
  });

  it('does and says nothing the second time', async () => {
    setUp();
    expect(setUp()).toEqual({ status: 0, said: '' });
    expect(await calls()).toHaveLength(1);
  });

  it('installs again when the lock file names another version', async () => {
    setUp();
    await put('package-lock.json', lockOf('1.0.1'));
    expect(setUp().status).toBe(0);
    expect(await calls()).toHaveLength(2);
  });

  it('builds again when a source has changed, and drops the output of deleted ones', async () => {
    setUp();
    await rm(join(root, 'src', 'greeting.ts'));
    await put('src/main.ts', "process.stdout.write('changed');");
    expect(setUp().status).toBe(0);
    expect(runBuild()).toBe('changed');
    expect(existsSync(join(root, 'dist', 'src', 'greeting.js'))).toBe(false);
  });

  it('keeps the old build when the new one fails', async () => {
    setUp();
    await put('src/main.ts', 'const wrong: number = "text";');
    const { status, said } = setUp();
    expect(status).toBe(1);
    expect(said).toContain('src/main.ts');
    expect(said).toContain('the build failed');
    expect(runBuild()).toBe('hello');
  });

  it('ends when npm fails', async () => {
    await fake('npm', 'echo "registry is away" >&2; exit 1');
    const { status, said } = setUp();
    expect(status).toBe(1);
    expect(said).toMatch(/registry is away[\s\S]*npm ci failed/);
  });

  it('refuses a Node that is too old', () => {
    const old = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.18.3'}})";
    const { status, said } = setUp('--import', `data:text/javascript,${old}`);
    expect(status).toBe(1);
    expect(said).toContain('Node 20.19 or newer is needed, this is 20.18.3');
  });
});

describe('two set-ups at once', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  function start(): { child: ChildProcess; said: () => string } {
    const child = spawn(process.execPath, [join(root, 'scripts', 'setup.mjs')], { env: environment });
    children.push(child);
    let text = '';
    child.stderr.on('data', (chunk) => {
      text += String(chunk);
    });
    return { child, said: () => text };
  }

  async function until(condition: () => boolean): Promise<void> {
    for (const deadline = Date.now() + 60_000; !condition(); await delay(10)) {
      if (Date.now() > deadline) throw new Error('never happened');
    }
  }

  it('run one after the other, and the second finds everything done', async () => {
    await fake('npm', `${install}\nwhile [ ! -e go ]; do sleep 0.05; done`);
    const first = start();
    await until(() => first.said().includes('installing'));
    const second = start();
    await until(() => second.said().includes(`waiting for process ${first.child.pid}`));
    await put('go', '');
    const ends = await Promise.all([first, second].map(({ child }) => once(child, 'exit')));
    expect(ends.map(([code]) => code)).toEqual([0, 0]);
    expect(await calls()).toHaveLength(1);
    expect(second.said()).not.toContain('building');
    expect(existsSync(join(root, '.proctor', 'setup.lock'))).toBe(false);
  });

  it('do not wait for one that was killed', async () => {
    const { pid } = spawnSync('true');
    await put('.proctor/setup.lock', `${pid}\n`);
    expect(setUp().status).toBe(0);
  });
});

describe('the browser of the tests', () => {
  it('is installed before the tests on Debian as root, and for nothing else', async () => {
    await fake('id', 'echo 0');
    await fake('apt-cache', 'echo "  Candidate: 1.0"');
    await fake('apt-get', `echo "apt-get $*" >> calls; touch ${bin}/chromium; chmod +x ${bin}/chromium`);
    expect(setUp().status).toBe(0);
    expect((await calls()).filter((call) => call.startsWith('apt-get'))).toEqual([]);
    environment = { ...environment, npm_lifecycle_event: 'pretest' };
    expect(setUp().status).toBe(0);
    expect((await calls()).filter((call) => call.startsWith('apt-get'))).toEqual([
      'apt-get -q install -y --no-install-recommends chromium',
    ]);
    expect(setUp()).toEqual({ status: 0, said: '' });
  });

  it('that cannot be installed is told, and the set-up goes on', async () => {
    environment = { ...environment, npm_lifecycle_event: 'pretest' };
    const { status, said } = setUp();
    expect(status).toBe(0);
    expect(said).toContain('apt-get install chromium');
  });
});

describe('the nats-server', () => {
  const APT = `echo "apt-get $*" >> calls
case "$*" in *install*) printf '#!/bin/sh\\n' > usr/sbin/nats-server; chmod +x usr/sbin/nats-server;; esac`;

  beforeEach(async () => {
    await put('usr/sbin/.keep', '');
    await rm(join(bin, 'nats-server'));
  });

  async function debian(user: string, candidate: string): Promise<void> {
    await fake('apt-get', APT);
    await fake('apt-cache', `echo "  Candidate: ${candidate}"`);
    await fake('id', `echo ${user}`);
  }

  it('may be one elsewhere, named by NATS_URL', () => {
    environment.NATS_URL = 'nats://elsewhere:4222';
    expect(setUp().status).toBe(0);
  });

  it('may be the executable that PROCTOR_NATS_SERVER names', async () => {
    await fake('my-server', 'exit 0', root);
    environment.PROCTOR_NATS_SERVER = join(root, 'my-server');
    expect(setUp().status).toBe(0);
    environment.PROCTOR_NATS_SERVER = join(root, 'package.json');
    const { status, said } = setUp();
    expect(status).toBe(1);
    expect(said).toContain(`PROCTOR_NATS_SERVER is ${join(root, 'package.json')}, which is no executable file`);
  });

  it('may lie in the sbin folder beside a bin folder of the PATH', async () => {
    await fake('nats-server', 'exit 0', join(root, 'usr', 'sbin'));
    expect(setUp().status).toBe(0);
  });

  it('is asked for with the choices when there is none', () => {
    const { status, said } = setUp();
    expect(status).toBe(1);
    for (const choice of ['apt-get install', 'brew install', 'releases', 'docker run', 'NATS_URL']) {
      expect(said).toContain(choice);
    }
  });

  it('is not installed for who is not root', async () => {
    await debian('1000', '2.9.10');
    expect(setUp().status).toBe(1);
    expect((await calls()).filter((call) => call.startsWith('apt-get'))).toEqual([]);
  });

  it('is installed from the package of Debian for root, and that is said', async () => {
    await debian('0', '2.9.10');
    const { status, said } = setUp();
    expect(status).toBe(0);
    expect(said).toContain('proctor: no nats-server found; installing the Debian package');
    expect((await calls()).filter((call) => call.startsWith('apt-get'))).toEqual([
      'apt-get -q install -y --no-install-recommends nats-server',
    ]);
  });

  it('is looked for in fresh package lists when the present ones do not know it', async () => {
    await debian('0', '(none)');
    expect(setUp().status).toBe(0);
    expect((await calls()).filter((call) => call.startsWith('apt-get'))).toEqual([
      'apt-get -q update',
      'apt-get -q install -y --no-install-recommends nats-server',
    ]);
  });

  it('that apt-get cannot install ends the set-up with the choices', async () => {
    await debian('0', '2.9.10');
    await fake('apt-get', 'echo "apt-get $*" >> calls; exit 100');
    const { status, said } = setUp();
    expect(status).toBe(1);
    expect(said).toContain('brew install');
    expect((await calls()).filter((call) => call.startsWith('apt-get'))).toHaveLength(3);
  });
});
