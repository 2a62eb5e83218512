/**
 * How long a provider asks to be left alone, from the headers of its reply: `retry-after-ms`, `retry-after` (seconds or
 * a date), else the moments at which the exhausted ones of its limits are filled again (`x-ratelimit-reset-*` of OpenAI
 * and its like, `anthropic-ratelimit-*-reset`).
 */

export type Headers = Readonly<Record<string, string>>;

/** Milliseconds from `now` (epoch ms); undefined when the headers say nothing. */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  return numberIn(headers['retry-after-ms']) ?? delay(headers['retry-after'], now) ?? longest(resets(headers, now));
}

interface Reset {
  exhausted: boolean;
  ms: number;
}

function resets(headers: Headers, now: number): Reset[] {
  const found: Reset[] = [];
  for (const [name, value] of Object.entries(headers)) {
    const match = /^(?:x-ratelimit-reset(.*)|anthropic-ratelimit-(.+)-reset)$/.exec(name);
    const ms = match === null ? undefined : delay(value, now);
    if (match === null || ms === undefined) continue;
    const remaining =
      match[2] === undefined ? `x-ratelimit-remaining${match[1]}` : `anthropic-ratelimit-${match[2]}-remaining`;
    found.push({ exhausted: numberIn(headers[remaining]) === 0, ms });
  }
  return found;
}

/** Of the limits that are exhausted; of all of them when none says so. */
function longest(found: Reset[]): number | undefined {
  const exhausted = found.filter((reset) => reset.exhausted);
  const those = exhausted.length > 0 ? exhausted : found;
  return those.length === 0 ? undefined : Math.max(...those.map((reset) => reset.ms));
}

/** `20`, `0.5` (seconds), `1m30.5s`, `250ms`, an epoch in s or ms, a date of HTTP or of ISO 8601. */
function delay(text: string | undefined, now: number): number | undefined {
  const value = text?.trim() ?? '';
  if (value === '') return undefined;
  const number = numberIn(value);
  if (number !== undefined) {
    if (number > 1e12) return Math.max(0, number - now);
    return number > 1e9 ? Math.max(0, number * 1_000 - now) : number * 1_000;
  }
  const span = durationIn(value);
  if (span !== undefined) return span;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function durationIn(value: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(value)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    ms += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return ms;
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}(?:\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}
