import { REMEMBERED_MS } from './idem-wire.ts';
import type { Subjects } from './subjects.ts';

/** How many messages a stream keeps for one subject: the first for ever, the last, or all. */
export type PerSubject = 'first' | 'last' | 'all';

/** A stream as Proctor needs it; the bus adapter creates it and checks one that exists already. */
export interface StreamSpec {
  name: string;
  subjects: string[];
  retention: 'limits' | 'workqueue';
  perSubject: PerSubject;
  storage: 'file' | 'memory';
  /** Messages are dropped when they are this old, milliseconds; absent: never. */
  maxAgeMs?: number;
}

/** How long the presence of a node that fell silent is kept, milliseconds: longer than any node may go on unseen. */
const PRESENCE_KEPT_MS = 600_000;

export interface QueueSpec {
  stream: string;
  /** Durable consumer name. */
  name: string;
  filter: string;
  /** An un-acknowledged message comes again after this long without a sign of life, milliseconds. */
  ackWaitMs: number;
}

export interface Streams {
  tasks: StreamSpec;
  keys: StreamSpec;
  queue: StreamSpec;
  inbox: StreamSpec;
  events: StreamSpec;
  results: StreamSpec;
  dead: StreamSpec;
  agents: StreamSpec;
  policy: StreamSpec;
  approvals: StreamSpec;
  approvers: StreamSpec;
  audit: StreamSpec;
  human: StreamSpec;
  cluster: StreamSpec;
  switches: StreamSpec;
  switchHits: StreamSpec;
  presence: StreamSpec;
  ledger: StreamSpec;
  ledgerSnapshots: StreamSpec;
  clock: StreamSpec;
  once: StreamSpec;
}

/** The streams that exist once; journals and snapshots have one a period. */
export function streamsOf(subjects: Subjects): Streams {
  const p = subjects.prefix;
  const file = { storage: 'file' } as const;
  return {
    tasks: {
      name: subjects.stream('TASKS'),
      subjects: [`${p}.tasks.>`],
      retention: 'workqueue',
      perSubject: 'all',
      ...file,
    },
    keys: {
      name: subjects.stream('KEYS'),
      subjects: [`${p}.key.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    queue: {
      name: subjects.stream('QUEUE'),
      subjects: [`${p}.queue.>`],
      retention: 'workqueue',
      perSubject: 'first',
      ...file,
    },
    inbox: {
      name: subjects.stream('IN'),
      subjects: [`${p}.in.>`],
      retention: 'workqueue',
      perSubject: 'first',
      ...file,
    },
    events: {
      name: subjects.stream('EVT'),
      subjects: [`${p}.evt.>`],
      retention: 'limits',
      perSubject: 'last',
      ...file,
    },
    results: {
      name: subjects.stream('RES'),
      subjects: [`${p}.res.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    dead: {
      name: subjects.stream('DEAD'),
      subjects: [`${p}.dead.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    agents: {
      name: subjects.stream('AGENTS'),
      subjects: [`${p}.agent.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    policy: {
      name: subjects.stream('POLICY'),
      subjects: [`${p}.policy.*`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    // Requests that are open: what is decided or over is removed.
    approvals: {
      name: subjects.stream('APR'),
      subjects: [`${p}.apr.req.>`],
      retention: 'limits',
      perSubject: 'last',
      ...file,
    },
    // Who may decide: the last record of a name is in force, the rest is the audit.
    approvers: {
      name: subjects.stream('APPROVERS'),
      subjects: [`${p}.approver.*`],
      retention: 'limits',
      perSubject: 'all',
      ...file,
    },
    audit: {
      name: subjects.stream('AUDIT'),
      subjects: [`${p}.audit.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    // What is queued for people, and what they say: a write-once log for each run.
    human: {
      name: subjects.stream('HUMAN'),
      subjects: [`${p}.human.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    cluster: {
      name: subjects.stream('CLUSTER'),
      subjects: [`${p}.cluster.*`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    // All orders there ever were: the last one of a subject is in force, the rest is the audit.
    switches: {
      name: subjects.stream('SWITCH'),
      subjects: [`${p}.switch.>`],
      retention: 'limits',
      perSubject: 'all',
      ...file,
    },
    switchHits: {
      name: subjects.stream('SWITCHED'),
      subjects: [`${p}.switched.>`],
      retention: 'limits',
      perSubject: 'last',
      ...file,
    },
    // In a file: a server that lost it would let a kill be acknowledged too early.
    presence: {
      name: subjects.stream('PRESENT'),
      subjects: [`${p}.present.*`],
      retention: 'limits',
      perSubject: 'last',
      maxAgeMs: PRESENCE_KEPT_MS,
      ...file,
    },
    // Trimmed to what stands behind the last snapshot but one.
    ledger: {
      name: subjects.stream('LEDGER'),
      subjects: [`${p}.ledger.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    ledgerSnapshots: {
      name: subjects.stream('LEDGERSNAP'),
      subjects: [`${p}.ledgersnap.>`],
      retention: 'limits',
      perSubject: 'first',
      ...file,
    },
    clock: {
      name: subjects.stream('CLOCK'),
      subjects: [`${p}.clock.>`],
      retention: 'limits',
      perSubject: 'last',
      storage: 'memory',
    },
    once: {
      name: subjects.stream('ONCE'),
      subjects: [`${p}.once.>`],
      retention: 'limits',
      perSubject: 'first',
      maxAgeMs: REMEMBERED_MS,
      ...file,
    },
  };
}

export function journalStream(subjects: Subjects, period: string): StreamSpec {
  return {
    name: subjects.stream('JRN', period),
    subjects: [`${subjects.prefix}.jrn.${period}.>`],
    retention: 'limits',
    perSubject: 'first',
    storage: 'file',
  };
}

export function snapshotStream(subjects: Subjects, period: string): StreamSpec {
  return {
    name: subjects.stream('SNAP', period),
    subjects: [`${subjects.prefix}.snap.${period}.>`],
    retention: 'limits',
    perSubject: 'last',
    storage: 'file',
  };
}

/** Results too large for the journal, in parts: see `blob.ts`. */
export function blobStream(subjects: Subjects, period: string): StreamSpec {
  return {
    name: subjects.stream('BLOB', period),
    subjects: [`${subjects.prefix}.blob.${period}.>`],
    retention: 'limits',
    perSubject: 'first',
    storage: 'file',
  };
}
