import { env } from 'node:process';

/** The one place that reads environment variables; an empty one counts as not set. */
export function fromEnvironment(
  name: 'NATS_URL' | 'PROCTOR_NKEY_FILE' | 'PROCTOR_NATS_SERVER' | 'PROCTOR_HTTP_TOKEN' | 'PATH' | 'NO_COLOR' | 'TERM',
): string | undefined {
  // biome-ignore lint/style/noProcessEnv: this is the place for it
  const value = env[name];
  return value === '' ? undefined : value;
}

/** What OpenTelemetry's own variables say; it reads them itself, we only look whether any is set. */
export function openTelemetryEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith('OTEL_')));
}

/** Keys and addresses of model providers: what ends in `_API_KEY` or `_BASE_URL`. */
export function providerEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => /_(?:API_KEY|BASE_URL)$/.test(name)));
}
