import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsBus } from '../../../src/adapters/nats/bus.ts';
import { connectNats, type NatsOptions } from '../../../src/adapters/nats/connect.ts';
import { AppError } from '../../../src/core/errors.ts';
import { Subjects } from '../../../src/core/subjects.ts';
import type { Log } from '../../../src/ports/telemetry.ts';

export interface LogLine {
  level: string;
  event: string;
  fields: Record<string, unknown>;
}

/** A log that keeps its lines for the test to look at. */
export function listLog(lines: LogLine[] = []): Log {
  const level =
    (name: string) =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      lines.push({ level: name, event, fields });
    };
  const log: Log = {
    debug: level('debug'),
    info: level('info'),
    warn: level('warn'),
    error: level('error'),
    child: () => log,
  };
  return log;
}

export function connectTo(server: { url: string }, options: Partial<NatsOptions> = {}): Promise<NatsBus> {
  return connectNats({
    servers: server.url,
    name: 'test',
    subjects: new Subjects(),
    log: listLog(),
    random: randomUUID,
    ...options,
  });
}

export function passReally(ms: number): Promise<void> {
  return delay(ms);
}

/** Waits until something holds; throws when it does not within the deadline. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await delay(10);
  }
}

/** The code of the AppError that a promise rejects with, or `no error`. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return 'no error';
}
