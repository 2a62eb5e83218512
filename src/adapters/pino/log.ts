import { type DestinationStream, type Level, type Logger, pino } from 'pino';
import { redact } from '../../core/redact.ts';
import type { Log } from '../../ports/telemetry.ts';

export type LogLevel = Level | 'silent';

/** Structured logs (OBS-1): one JSON object a line, without secrets. `event` is the message. */
export function pinoLog(options: { level: LogLevel; destination: DestinationStream }): Log {
  return wrap(pino({ level: options.level, base: null }, options.destination));
}

function wrap(logger: Logger): Log {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: Record<string, unknown> = {}) => {
      if (logger.isLevelEnabled(level)) logger[level](redact(fields) as object, event);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(logger.child(redact(fields) as object)),
    enabled: (level) => logger.isLevelEnabled(level),
  };
}
