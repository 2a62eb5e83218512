import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { localToolSource } from '../../src/adapters/toolbox/source.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Bus } from '../../src/ports/bus.ts';
import type { FaultPoint } from '../../src/runtime/fault-points.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { fileLog } from '../support/log.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENTS, scriptModel } from './agents.ts';
import { sinkTools } from './sink.ts';

/**
 * A supervisor node that kills itself with SIGKILL at the k-th time that it passes a fault point. It loads, says
 * `loaded`, waits to be told `{name, fault}`, and says `up`. Its parent may set another fault while it runs. Where it
 * died stands in the file `hit-<name>`.
 */

export interface CrashNodeOptions {
  url: string;
  dir: string;
  leaseMs: number;
  /** Longest time that a task or an inbox message stays with a dead node, milliseconds. */
  doorAckMs: number;
}

export interface Fault {
  point: FaultPoint | 'any';
  /** Which time it is passed. */
  k: number;
  /** At once; after what is on its way was handed to the socket; or some milliseconds later. */
  when: 'now' | 'turn' | 'soon';
}

const options = childOptions<CrashNodeOptions>();
let fault: Fault | null = null;
let name = '';

hearParent((message) => {
  if ('fault' in message) fault = message.fault as Fault | null;
  if (typeof message.name === 'string' && name === '') {
    name = message.name;
    void start();
  }
});
say('loaded');

async function start(): Promise<void> {
  const subjects = new Subjects('drill');
  const log = fileLog(`${options.dir}/node.log`, { node: name });
  const bus = await connectBus({ url: options.url }, name, subjects, log);
  await startSupervisor({
    bus: withShortAckWait(bus, options.doorAckMs),
    subjects,
    firstPolicy: TRUSTING,
    log,
    name,
    agents: AGENTS,
    models: { script: scriptModel },
    tools: [localToolSource(sinkTools('local', options.dir), systemClock())],
    settings: {
      lease_ms: options.leaseMs,
      claims_without_progress: 1_000_000,
      park_after_ms: 40,
      start_window_ms: 500,
      clock_tolerance_ms: 100,
      snapshot_every: 5,
      status_every_ms: 20,
      slots: 200,
    },
    faults: { hit },
  });
  say('up');
}

function hit(point: FaultPoint): void {
  if (fault === null || (fault.point !== 'any' && fault.point !== point)) return;
  if (--fault.k > 0) return;
  const { when } = fault;
  fault = null;
  writeFileSync(`${options.dir}/hit-${name}`, point);
  if (when === 'now') die();
  else if (when === 'turn') setImmediate(die);
  else void delay(1 + (cryptoIds.random().charCodeAt(0) % 5)).then(die);
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
  // The signal may find another thread first: nothing may happen after this.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** The doors' ack wait is half a minute; the drill has many deaths to get through. */
function withShortAckWait(bus: Bus, most: number): Bus {
  return new Proxy(bus, {
    get(target, property) {
      if (property === 'ensureQueue') {
        const ensure: Bus['ensureQueue'] = (spec) =>
          target.ensureQueue({ ...spec, ackWaitMs: Math.min(spec.ackWaitMs, most) });
        return ensure;
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
