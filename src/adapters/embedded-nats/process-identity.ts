import { readdir, readFile } from 'node:fs/promises';

/**
 * Which process a pid is. A pid alone is not enough: after a crash or a reboot it may belong to somebody else. Where
 * /proc exists, boot and start time tell incarnations of a pid apart; elsewhere only the pid is compared.
 */

/** Boot and start time of a live process; null when it is gone, a zombie, or the system does not tell. */
export async function identityOf(pid: number): Promise<string | null> {
  const stat = await statOf(pid);
  if (stat === null || stat.state === 'Z') return null;
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return `${boot.trim()}:${stat.started}`;
}

/** Whether the process that was recorded with this identity (null: unknown) still runs. */
export async function isRunning(pid: number, identity: string | null): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  // Where a process once told its identity, silence now means that it is gone.
  if (identity !== null) return (await identityOf(pid)) === identity;
  return (await statOf(pid))?.state !== 'Z';
}

async function statOf(pid: number): Promise<{ state: string; started: string } | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // The command in field 2 may hold spaces and brackets, so count from behind its last bracket: field 3 is first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', started: fields[19] ?? '' };
}

/** Pids of processes one of whose arguments is exactly `argument`; empty where there is no /proc. */
export async function pidsWithArgument(argument: string): Promise<number[]> {
  const entries = await readdir('/proc').catch((): string[] => []);
  const found: number[] = [];
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    const args = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    if (args.split('\0').includes(argument)) found.push(Number(entry));
  }
  return found;
}
