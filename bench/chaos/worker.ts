import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { sinkTools } from './sink.ts';
import type { ChaosWorkerOptions } from './wire.ts';

/** A tool worker of the drill: the remote tools, in a process to be killed. */

const { url, sinkPort } = childOptions<ChaosWorkerOptions>();
const subjects = new Subjects('drill');
const id = cryptoIds.random();
const bus = await connectBus({ url }, `worker-${id}`, subjects, silent);
const tools = await sinkTools('remote', sinkPort, `worker-${id}`);
await serveTools({
  bus,
  subjects,
  clock: systemClock(),
  tools: tools.map((tool) => ({ ...tool, concurrency: 1_000 })),
  concurrency: 1_000,
  log: silent,
  id,
  heartbeatMs: 200,
});
hearParent(() => {});
say('up');
