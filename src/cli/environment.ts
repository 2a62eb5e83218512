import { env } from 'node:process';

/** The one place that reads environment variables; an empty one counts as not set. */
export function fromEnvironment(
  name: 'NATS_URL' | 'PROCTOR_NKEY_FILE' | 'PROCTOR_NATS_SERVER' | 'PATH' | 'NO_COLOR' | 'TERM',
): string | undefined {
  // biome-ignore lint/style/noProcessEnv: this is the place for it
  const value = env[name];
  return value === '' ? undefined : value;
}
