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
import { writeServerConfig } from '../src/adapters/embedded-nats/write-config.ts';
import { natsServerPath, temporaryFolder } from './adapters/embedded-nats/fixtures.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const Compose = z.strictObject({
  name: z.string(),
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
  const { services, volumes } = Compose.parse(parse(readFileSync(`${root}docker-compose.yml`, 'utf8')));

  it('has one nats-server and one node, which waits until the server is healthy', () => {
    expect(Object.keys(services)).toEqual(expect.arrayContaining(['nats', 'node']));
    expect(services.nats?.healthcheck).toBeDefined();
    expect(services.node?.depends_on.nats?.condition).toBe('service_healthy');
  });

  it('publishes ports on loopback only', () => {
    const published = Object.values(services).flatMap(({ ports }) => ports);
    expect(published.length).toBeGreaterThan(0);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('asks the node itself whether it is ready', () => {
    expect(services.node?.command?.slice(-2)).toEqual(['--http', '127.0.0.1:9464']);
    expect(services.node?.healthcheck?.test.join(' ')).toContain('http://127.0.0.1:9464/readyz');
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

describe('the configuration for a server in a container', () => {
  it('is one that nats-server accepts, in private files, with keys that stay', async () => {
    const { dir, remove } = await temporaryFolder();
    const options = {
      dir,
      users: ['default', 'alice'],
      prefix: 'proctor',
      listen: '0.0.0.0:4222',
      monitor: '127.0.0.1:8222',
      storeDir: '/data',
      random: (bytes: number) => randomBytes(bytes),
    };
    const first = await writeServerConfig(options);
    expect(await writeServerConfig(options)).toEqual(first);
    const config = join(dir, 'nats.conf');
    expect((await stat(config)).mode & 0o777).toBe(0o600);
    const { stderr } = await promisify(execFile)(await natsServerPath(), ['-t', '-c', config]);
    expect(stderr).toContain('configuration file');
    await remove();
  });
});
