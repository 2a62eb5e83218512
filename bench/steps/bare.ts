import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { connectBus } from '../../src/app.ts';
import { periodOf } from '../../src/core/ids.ts';
import { journalStream } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';

/**
 * The limit that a run cannot pass: the journal entries of a real run, published one after the other to a stream of the
 * same kind, without anything else. `stock` is the client library's publish, `best` is our own append path.
 */

export interface BareOptions {
  url: string;
  prefix: string;
  concurrency: number;
  path: 'stock' | 'best';
  /** The entries of one run, as they were stored. */
  entries: string[];
}

const { url, prefix, concurrency, path, entries } = childOptions<BareOptions>();
const subjects = new Subjects(prefix);
const bus = await connectBus({ url }, 'bench-bare', subjects, silent);
const period = periodOf(Date.now());
await bus.ensureStream(journalStream(subjects, period));
const publish = path === 'best' ? bestPath() : await stockPath();

let latencies: number[] = [];
let counting = false;
let runs = 0;
/** Set when the time is over: how many runs must have ended before the figures are told. */
let fewest: number | null = null;

async function loop(): Promise<void> {
  for (;;) {
    const run = `${period}-${path}-${(runs++).toString(36)}`;
    const began = performance.now();
    for (const [n, entry] of entries.entries()) await publish(subjects.journal(run, n), entry);
    if (!counting) continue;
    latencies.push(performance.now() - began);
    if (fewest === null || latencies.length < fewest) continue;
    counting = false;
    say(JSON.stringify({ latencies }));
  }
}

hearParent((message) => {
  if (message.begin === true) {
    counting = true;
    latencies = [];
  }
  if (typeof message.end === 'number') fewest = message.end;
});
for (let i = 0; i < concurrency; i++) void loop();
say('up');

function bestPath(): (subject: string, data: string) => Promise<unknown> {
  return (subject, data) => bus.publish(subject, data);
}

async function stockPath(): Promise<(subject: string, data: string) => Promise<unknown>> {
  // As it comes: with the traces that it takes for each request unless told not to.
  const js = jetstream(await connect({ servers: url }));
  return (subject, data) => js.publish(subject, data);
}
