import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { sinkTools } from './sink.ts';

/** The tool worker of the drill: the remote sinks, in a process that nobody kills. */

const { url, dir } = childOptions<{ url: string; dir: string }>();
const subjects = new Subjects('drill');
const bus = await connectBus({ url }, 'worker', subjects, silent);
await serveTools({
  bus,
  subjects,
  clock: systemClock(),
  // The drill is about crashes: nothing is refused because it comes all at once.
  tools: sinkTools('remote', dir).map((tool) => ({ ...tool, concurrency: 1_000 })),
  concurrency: 1_000,
  log: silent,
  id: 'sink',
});
hearParent(() => {});
say('up');
