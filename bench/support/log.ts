import { appendFileSync } from 'node:fs';
import type { Log } from '../../src/ports/telemetry.ts';

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent, enabled: () => false };

/** Keeps what is worth a look after a drill, a JSON line each: warnings and errors. */
export function fileLog(file: string, fixed: Record<string, unknown> = {}): Log {
  const write = (level: string, event: string, fields: Record<string, unknown> = {}): void => {
    appendFileSync(file, `${JSON.stringify({ at: Date.now(), level, event, ...fixed, ...fields })}\n`);
  };
  return {
    debug() {},
    info() {},
    warn: (event, fields) => write('warn', event, fields),
    error: (event, fields) => write('error', event, fields),
    child: (fields) => fileLog(file, { ...fixed, ...fields }),
  };
}
