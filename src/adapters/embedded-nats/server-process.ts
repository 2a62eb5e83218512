import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Log } from '../../ports/telemetry.ts';

/**
 * One nats-server child. It gets a session of its own, so that Ctrl-C reaches only its parent, which then stops it in
 * order. Where `setpriv` can (Linux), the kernel ends the child when its parent dies, however that happens.
 */

export interface ServerProcess {
  readonly pid: number;
  /** What the server said last, for an error message; it logs no secrets. */
  lastLines(): string[];
  /** Resolves when it is gone: `code 1`, `signal SIGKILL`. */
  readonly exited: Promise<string>;
  /** SIGTERM, and SIGKILL after `deadlineMs`; resolves when it is gone. */
  stop(deadlineMs: number): Promise<void>;
}

const LINES_KEPT = 20;

/** Starts the server; rejects when there is nothing to execute. @param configPath absolute */
export async function spawnServer(serverPath: string, configPath: string, log: Log): Promise<ServerProcess> {
  const command = [serverPath, '-c', configPath];
  if (await kernelEndsOrphans()) command.unshift('setpriv', '--pdeathsig', 'TERM', '--');
  const [file = serverPath, ...args] = command;
  // Some versions (2.9.10) write files of a consumer that is deleted into the folder that they run in.
  const child = spawn(file, args, { cwd: dirname(configPath), detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    if (lines.length > LINES_KEPT) lines.shift();
    forward(line, log);
  });
  const exited = new Promise<string>((resolve) => {
    // 'close' and not 'exit': by then its last words were read.
    child.once('close', (code, signal) => resolve(signal === null ? `code ${code}` : `signal ${signal}`));
  });
  const pid = await started(child);
  return { pid, lastLines: () => [...lines], exited, stop: (deadlineMs) => stop(child, exited, deadlineMs) };
}

function started(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => (child.pid === undefined ? reject(new Error('no pid')) : resolve(child.pid)));
  });
}

async function stop(child: ChildProcess, exited: Promise<string>, deadlineMs: number): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  await exited;
  clearTimeout(timer);
}

let supported: Promise<boolean> | undefined;

/** Busybox has a `setpriv` without this option, so it is tried. */
function kernelEndsOrphans(): Promise<boolean> {
  supported ??= promisify(execFile)('setpriv', ['--pdeathsig', 'TERM', 'true']).then(
    () => true,
    () => false,
  );
  return supported;
}

/** `[123] 2026/01/02 03:04:05.000000 [WRN] text` to the level it has. */
function forward(line: string, log: Log): void {
  const match = /^\[\d+\] \S+ \S+ \[([A-Z]{3})\] (.*)$/.exec(line);
  const text = match?.[2] ?? line;
  // Its passwords are random and its file is private, so this warning says nothing.
  if (text.startsWith('Plaintext passwords detected')) return;
  switch (match?.[1]) {
    case 'WRN':
      log.warn('nats.server', { text });
      break;
    case 'ERR':
    case 'FTL':
    case undefined:
      log.error('nats.server', { text });
      break;
    default:
      log.debug('nats.server', { text });
  }
}
