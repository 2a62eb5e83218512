import type { Command } from 'commander';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { natsOfEnvironment } from './connect.ts';
import { checkFolder } from './doctor-folder.ts';
import { type Check, checkServer } from './doctor-server.ts';
import { copyable, Ended, EXIT, sentence } from './failure.ts';
import { line, paintFor } from './format.ts';
import type { Io } from './io.ts';

export function addDoctor(program: Command, io: Io): void {
  addRemoteCommand(program, 'doctor', {
    summary: 'check the installation: server, streams, rights, nodes, clock, disk',
    description:
      'Checks one thing a line: ok, warn or FAIL, and what to do. Exit code 1 when something fails. Changes nothing.',
    examples: ['proctor doctor', 'NATS_URL=nats://user:pass@10.0.0.5:4222 proctor doctor', 'proctor doctor --json'],
  }).action((options: CommonOptions) => doctor(io, options));
}

async function doctor(io: Io, options: CommonOptions): Promise<void> {
  const checks: Check[] = [];
  const paint = paintFor(io);
  const tell = (check: Check) => {
    checks.push(check);
    if (options.json === true) return;
    const mark = { ok: paint.good('ok  '), warn: paint.warn('warn'), FAIL: paint.bad('FAIL') }[check.state];
    const found = line(check.found);
    const advice = check.advice === undefined ? '' : ` ${sentence(line(check.advice))}`;
    io.out(`${mark}  ${check.what}: ${copyable(`${advice === '' ? found : sentence(found)}${advice}`)}`);
  };
  const own = await natsOfEnvironment();
  if (own === null) await checkFolder(options.dir, tell);
  await checkServer(options, own !== null, tell);
  if (options.json === true) io.out(JSON.stringify(checks));
  if (checks.some((check) => check.state === 'FAIL')) throw new Ended(EXIT.failed);
}
