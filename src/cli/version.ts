import type { Command } from 'commander';
import { VERSION } from '../core/version.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withBus } from './connect.ts';
import type { Io } from './io.ts';
import { facts } from './table.ts';

export function addVersion(program: Command, io: Io): void {
  addRemoteCommand(program, 'version', {
    summary: 'versions of proctor, of Node and of the server when it can be reached',
    examples: ['proctor version', 'proctor version --json'],
  }).action(async (options: CommonOptions) => {
    const server = await withBus(options, { role: 'operator' }, async (bus) => bus.serverVersion).catch(() => null);
    const versions = { proctor: VERSION, node: process.versions.node, server };
    if (options.json === true) return io.out(JSON.stringify(versions));
    io.out(facts(Object.entries(versions).map(([name, version]) => [name, version ?? 'not reachable'])));
  });
}
