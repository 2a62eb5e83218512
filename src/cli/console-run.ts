import { type OpenConsoleOptions, openConsole } from '../app/console.ts';
import { logTo } from '../app/local.ts';
import { AppError } from '../core/errors.ts';
import { find, natsOfEnvironment, whoAmI } from './connect.ts';
import type { ConsoleCommandOptions } from './console-options.ts';
import { paintFor } from './format.ts';
import type { Io } from './io.ts';

/** Serves until a signal comes, or whoever started it as a part of `up` is gone. */
export async function runConsole(io: Io, options: ConsoleCommandOptions): Promise<void> {
  const opened = await openConsole({
    host: options.host,
    port: options.port,
    tokenFile: options.tokenFile,
    proxy: proxyOf(options),
    publicUrl: options.publicUrl,
    person: { name: whoAmI(), role: 'operator' },
    ...(await sourceOf(options)),
    log: logTo((line) => void process.stderr.write(line), options.logLevel ?? (io.errIsTty ? 'warn' : 'info')),
  });
  const { url, login } = opened;
  process.send?.({ url, login });
  if (options.json === true) io.out(JSON.stringify({ url, login }));
  else {
    io.out(`${paintFor(io).bold('Proctor console')}  ${login ?? url}`);
    if (login !== null) io.out('The link logs in once; the login lasts 12 hours.');
  }
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
    if (process.send !== undefined) process.once('disconnect', resolve);
  });
  await opened.stop();
}

async function sourceOf(options: ConsoleCommandOptions): Promise<Pick<OpenConsoleOptions, 'source' | 'dir'>> {
  if (options.file !== undefined) return { source: { file: options.file }, dir: null };
  const own = await natsOfEnvironment();
  return { source: await find(options, { role: 'console' }), dir: own === null ? options.dir : null };
}

function proxyOf({ proxyHeader, proxyFrom }: ConsoleCommandOptions): OpenConsoleOptions['proxy'] {
  if (proxyHeader === undefined && proxyFrom === undefined) return null;
  if (proxyHeader === undefined || proxyFrom === undefined) {
    throw new AppError(
      'usage',
      '--proxy-header and --proxy-from belong together: whose word is believed, and from where',
    );
  }
  return { userHeader: proxyHeader, roleHeader: 'x-proctor-role', from: proxyFrom };
}
