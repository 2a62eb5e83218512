import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Log } from '../../ports/telemetry.ts';
import { identityOf, isRunning, pidsWithArgument } from './process-identity.ts';

/**
 * Servers left behind by a process that was killed. Two servers on one store would ruin it, so an orphan is stopped
 * before a new one starts. Only a process that was started with this very configuration file counts: the caller
 * holds the folder's lock, so no live owner can have one.
 */
export async function stopOrphans(configPath: string, pidPath: string, deadlineMs: number, log: Log): Promise<void> {
  const candidates = new Set(await pidsWithArgument(configPath));
  const recorded = Number((await readFile(pidPath, 'utf8').catch(() => '')).trim());
  if (Number.isInteger(recorded) && recorded > 1 && (await runsWith(recorded, configPath))) candidates.add(recorded);
  for (const pid of candidates) {
    log.warn('nats.orphan', { pid, text: 'A server was left behind by a process that was killed; stopping it.' });
    await stop(pid, deadlineMs);
  }
}

/** For systems without /proc, where only the pid file can lead to an orphan. */
async function runsWith(pid: number, configPath: string): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-p', String(pid), '-o', 'args=']);
    return stdout.trim().endsWith(` -c ${configPath}`);
  } catch {
    return false;
  }
}

async function stop(pid: number, deadlineMs: number): Promise<void> {
  const identity = await identityOf(pid);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (let waited = 0; waited < deadlineMs; waited += 20) {
      if (!(await isRunning(pid, identity))) return;
      await delay(20);
    }
  }
}
