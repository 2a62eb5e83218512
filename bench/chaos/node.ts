import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { localToolSource } from '../../src/adapters/toolbox/source.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { scriptModel } from '../crash/agents.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { fileLog } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENTS } from './agents.ts';
import { sinkTools } from './sink.ts';
import type { ChaosNodeOptions } from './wire.ts';
import { ackedTooEarly, witnessed } from './witness.ts';

/** A supervisor node of the drill. It loads, says `loaded`, waits to be told `{name, url}`, and says `up`. */

const options = childOptions<ChaosNodeOptions>();
let told = false;

hearParent((message) => {
  if (told || typeof message.name !== 'string' || typeof message.url !== 'string') return;
  told = true;
  void start(message.name, message.url);
});
say('loaded');

async function start(name: string, url: string): Promise<void> {
  const { dir, leaseMs, staleMs, sinkPort, replicas, breakage } = options;
  const subjects = new Subjects('drill');
  const log = fileLog(`${dir}/node.log`, { node: name });
  const connected = await connectBus({ url }, name, subjects, log, { replicas, allowOldReplicas: true });
  const bus = replicas === 1 ? connected : witnessed(connected, `${dir}/acks-${name}`);
  await startSupervisor({
    bus: breakage === 'ack' ? ackedTooEarly(bus) : bus,
    subjects,
    firstPolicy: TRUSTING,
    log,
    name,
    agents: AGENTS,
    models: { script: scriptModel },
    tools: [localToolSource(await sinkTools('local', sinkPort, name), systemClock())],
    settings: {
      lease_ms: leaseMs,
      switch_stale_ms: staleMs,
      claims_without_progress: 1_000_000,
      park_after_ms: 200,
      start_window_ms: 1_000,
      clock_tolerance_ms: 200,
      snapshot_every: 5,
      slots: 200,
    },
  });
  say('up');
}
