import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** CPU and memory of processes as Linux counts them (`/proc`); a tick is 10 ms. */
const MS_A_TICK = 10;

/** CPU time of a process so far, user and system, milliseconds. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_A_TICK;
}

/** The same of the threads that it has now, finer than a tick. */
export function cpuMsFine(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]));
  return ns.reduce((sum, one) => sum + one, 0) / 1e6;
}

/** Most memory that a process has held (VmHWM), MB. */
export function peakMb(pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** Memory that a process holds now (VmRSS), MB. */
export function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** CPU time of the whole machine so far, without idling, milliseconds. */
export function machineCpuMs(): number {
  return coresCpuMs().reduce((sum, one) => sum + one, 0);
}

/** The same of each core. */
export function coresCpuMs(): number[] {
  return [...readFileSync('/proc/stat', 'utf8').matchAll(/^cpu\d+ (.*)$/gm)].map(([, counts = '']) => {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = counts.split(' ').map(Number);
    return (user + nice + system + irq + softirq) * MS_A_TICK;
  });
}

/**
 * Keeps some processes to the first core and the others to the rest, with all their threads: so that what the others do
 * does not empty its caches. False where that cannot be done: without a second core, or without `taskset`.
 */
export function keepApart(some: number[], others: number[], cores: number): boolean {
  if (cores < 2) return false;
  const rest = `1-${cores - 1}`;
  const kept = [...some.map((pid) => [pid, '0'] as const), ...others.map((pid) => [pid, rest] as const)].map(
    ([pid, list]) => spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', list, String(pid)]).status === 0,
  );
  return kept.every(Boolean);
}

/** Lets these run, with all threads that they have now, when the others on their cores leave them the time. */
export function yieldToOthers(pids: number[]): void {
  for (const pid of pids) for (const id of readdirSync(`/proc/${pid}/task`)) setPriority(Number(id), 10);
}
