import { describe, expect, it } from 'vitest';
import { currentTimeTool } from '../../../src/adapters/toolbox/current-time.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import { faultOf, use } from './support.ts';

const at = (iso: string) =>
  currentTimeTool({ now: () => Date.parse(iso), after: () => () => undefined } satisfies Clock);

describe('current_time', () => {
  it('tells the time of the clock that it was given', async () => {
    expect(await use(at('2024-02-29T23:30:05.123Z'), {})).toEqual({
      utc: '2024-02-29T23:30:05.123Z',
      epoch_ms: 1709249405123,
      time_zone: 'UTC',
      local: '2024-02-29T23:30:05+00:00',
      weekday: 'Thursday',
    });
  });

  it.each([
    ['Europe/Berlin', '2024-07-01T00:30:00+02:00', 'Monday'],
    ['Asia/Kolkata', '2024-07-01T04:00:00+05:30', 'Monday'],
    ['America/New_York', '2024-06-30T18:30:00-04:00', 'Sunday'],
  ])('tells it in %s', async (time_zone, local, weekday) => {
    expect(await use(at('2024-06-30T22:30:00Z'), { time_zone })).toMatchObject({ local, weekday });
  });

  it('knows summer time and midnight', async () => {
    expect(await use(at('2024-01-14T23:00:00Z'), { time_zone: 'Europe/Berlin' })).toMatchObject({
      local: '2024-01-15T00:00:00+01:00',
    });
  });

  it.each(['Nowhere/City', '../../etc/passwd', 'Europe/Berlin\u0000', '__proto__'])('refuses %j', async (time_zone) => {
    expect(await faultOf(use(at('2024-01-01T00:00:00Z'), { time_zone }))).toBe('invalid_arguments time_zone');
  });
});
