import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { writeServerConfigs } from '../src/adapters/embedded-nats/write-config.ts';
import { natsServerPath, temporaryFolder } from './adapters/embedded-nats/fixtures.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What the file may hold: a key that nobody knows is a mistake. */
const Compose = z.strictObject({
  name: z.string(),
  'x-nats': z.unknown(),
  services: z.record(
    z.string(),
    z.strictObject({
      build: z.string().optional(),
      image: z.string(),
      command: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.string()).default({}),
      volumes: z.array(z.string()).default([]),
      ports: z.array(z.string()).default([]),
      depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).default({}),
      healthcheck: z.looseObject({ test: z.array(z.string()) }).optional(),
      network_mode: z.literal('none').optional(),
      pull_policy: z.string().optional(),
      init: z.boolean().optional(),
      stop_grace_period: z.string().optional(),
      restart: z.string().optional(),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

describe('docker-compose.yml', () => {
  const text = readFileSync(`${root}docker-compose.yml`, 'utf8');
  const { services, volumes } = Compose.parse(parse(text, { merge: true }));
  const servers = Object.entries(services).filter(([name]) => name.startsWith('nats-'));

  it('has three nats-servers of a version that may replicate, each with its file and its data', () => {
    expect(servers.map(([name]) => name)).toEqual(['nats-1', 'nats-2', 'nats-3']);
    for (const [name, { image, command, volumes: mounts, healthcheck }] of servers) {
      const [, major = 0, minor = 0] = /^nats:(\d+)\.(\d+)/.exec(image)?.map(Number) ?? [];
      expect(major * 1_000 + minor).toBeGreaterThanOrEqual(2_011);
      expect(command).toEqual(['-c', `/keys/${name}.conf`]);
      expect(mounts).toEqual(['keys:/keys:ro', `${name}:/data`]);
      expect(healthcheck).toBeDefined();
    }
  });

  it('has nodes that scale: no name and no port of their own, and they wait for healthy servers', () => {
    const { supervisor } = services;
    expect(supervisor?.ports).toEqual([]);
    expect(supervisor?.command).not.toContain('--name');
    for (const [name] of servers) {
      expect(supervisor?.depends_on[name]?.condition).toBe('service_healthy');
      expect(supervisor?.environment.NATS_URL).toContain(`nats://${name}:4222`);
    }
  });

  it('publishes ports on loopback only', () => {
    const published = Object.values(services).flatMap(({ ports }) => ports);
    expect(published.length).toBeGreaterThan(0);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('asks the node itself whether it is ready', () => {
    expect(services.supervisor?.command?.slice(-2)).toEqual(['--http', '127.0.0.1:9464']);
    expect(services.supervisor?.healthcheck?.test.join(' ')).toContain('http://127.0.0.1:9464/readyz');
  });

  it('names only services and volumes that exist', () => {
    for (const service of Object.values(services)) {
      for (const name of Object.keys(service.depends_on)) expect(services).toHaveProperty(name);
      for (const mount of service.volumes) expect(volumes).toHaveProperty(mount.split(':')[0] ?? '');
    }
  });

  it('holds no secret', () => {
    for (const { environment } of Object.values(services)) {
      for (const [name, value] of Object.entries(environment)) {
        expect(`${name}=${value}`).not.toMatch(/(?:PASSWORD|SEED|SECRET)=|SU[A-Z2-7]{40}/);
      }
    }
  });
});

describe('the configuration for servers in containers', () => {
  it('is one that nats-server accepts, in private files, with keys that stay', async () => {
    const { dir, remove } = await temporaryFolder();
    const options = {
      dir,
      prefix: 'proctor',
      users: ['default', 'alice'],
      servers: ['n1', 'n2', 'n3'].map((name) => ({ name, host: name, port: 4222, routePort: 6222 })),
      monitor: '127.0.0.1:8222',
      storeDir: '/data',
      random: (bytes: number) => randomBytes(bytes),
    };
    const first = await writeServerConfigs(options);
    expect(await writeServerConfigs(options)).toEqual(first);
    for (const name of ['n1', 'n2', 'n3']) {
      const config = join(dir, `${name}.conf`);
      expect((await stat(config)).mode & 0o777).toBe(0o600);
      const { stderr } = await promisify(execFile)(await natsServerPath(), ['-t', '-c', config]);
      expect(stderr).toContain('configuration file');
    }
    await remove();
  });
});
