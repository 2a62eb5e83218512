import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';

export function currentTimeTool(clock: Clock): LocalTool {
  return defineLocalTool({
    name: 'current_time',
    description: 'The current date and time, in UTC and in a time zone.',
    parameters: z.strictObject({
      time_zone: z.string().min(1).max(64).default('UTC').describe('IANA name, for example Europe/Berlin'),
    }),
    result: z.object({
      utc: z.string(),
      epoch_ms: z.number(),
      time_zone: z.string(),
      local: z.string().describe('ISO 8601 with the offset of the time zone.'),
      weekday: z.string(),
    }),
    effect: 'read',
    idempotent: true,
    run: async ({ time_zone }) => {
      const now = clock.now();
      const format = formatFor(time_zone);
      const parts = format.formatToParts(now);
      const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((item) => item.type === type)?.value ?? '';
      const date = `${part('year')}-${part('month')}-${part('day')}`;
      const time = `${part('hour')}:${part('minute')}:${part('second')}`;
      const offset = part('timeZoneName').replace('GMT', '') || '+00:00';
      return {
        utc: new Date(now).toISOString(),
        epoch_ms: now,
        time_zone: format.resolvedOptions().timeZone,
        local: `${date}T${time}${offset}`,
        weekday: part('weekday'),
      };
    },
  });
}

function formatFor(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      weekday: 'long',
      timeZoneName: 'longOffset',
    });
  } catch (cause) {
    throw new AppError('invalid_arguments', `time_zone: "${timeZone}" is not an IANA time zone.`, {
      field: 'time_zone',
      cause,
    });
  }
}
