import { z } from 'zod';
import { AppError, describeFaults } from '../core/errors.ts';
import { type Begun, IDEM_VERBS, type IdemVerb } from '../core/idem-wire.ts';
import { ResultJson } from '../core/json.ts';
import { streamsOf } from '../core/streams.ts';
import type { Bus, Stored, Subscription } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';

/**
 * Keeps for workers what they began and what came of it: see `core/idem-wire.ts`. Any node answers, as all of it lies
 * on the bus. A node answers with its own rights, so it does so only where workers may receive answers: a worker that
 * forges a reply subject gets nothing.
 */

type Deps = Pick<NodeDeps, 'bus' | 'subjects' | 'clock' | 'ids'>;
type Body<K extends IdemVerb> = z.output<(typeof IDEM_VERBS)[K]>;

const BeginRecord = z.object({ key: z.string(), claim: z.string(), at: z.int() });
const DoneRecord = z.object({ key: z.string(), result: ResultJson.optional() });

/** A tool's name is a token as it stands. */
const TOOL = /^[A-Za-z0-9_-]{1,64}$/;
/** How often a beginning is tried when another one was taken back just then. */
const TRIES = 3;

export function serveIdempotency(deps: Deps): Subscription {
  const { bus, subjects } = deps;
  return bus.serve(
    subjects.idem('*', '*'),
    async (request) => {
      const [toolToken = '', verb = ''] = request.subject.split('.').slice(-2);
      // As it stands it becomes part of a subject that is read: `*` would find the records of all tools.
      if (!TOOL.test(toolToken)) throw new AppError('bad_request', 'subject: expected idem.<tool>.<verb>');
      if (!isVerb(verb)) throw new AppError('bad_request', `subject: expected ${Object.keys(IDEM_VERBS).join(', ')}`);
      return JSON.stringify(await answer(deps, toolToken, verb, request.data));
    },
    { queue: 'idem', replyUnder: subjects.workerInbox },
  );
}

function isVerb(verb: string): verb is IdemVerb {
  return Object.hasOwn(IDEM_VERBS, verb);
}

function answer(deps: Deps, toolToken: string, verb: IdemVerb, data: string): Promise<unknown> {
  const body = parsed(verb, data);
  const at = addressOf(deps, toolToken, body.key);
  if (verb === 'begin') return begin(deps, at, body);
  return verb === 'done' ? done(deps, at, body as Body<'done'>) : takeBack(deps, at, body);
}

function parsed<K extends IdemVerb>(verb: K, data: string): Body<K> {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new AppError('bad_request', 'body: expected JSON', { cause });
  }
  const result = IDEM_VERBS[verb].safeParse(value);
  if (result.success) return result.data as Body<K>;
  const { message, field } = describeFaults(result.error, 'body');
  throw new AppError('bad_request', message, { field });
}

interface Address {
  stream: string;
  begin: string;
  done: string;
}

function addressOf({ subjects, ids }: Deps, toolToken: string, key: string): Address {
  const name = (what: 'begin' | 'done') => subjects.once(toolToken, ids.hash(key), what);
  return { stream: streamsOf(subjects).once.name, begin: name('begin'), done: name('done') };
}

async function begin(deps: Deps, at: Address, { key, claim }: Body<'begin'>): Promise<Begun> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const record = JSON.stringify({ v: 1, key, claim, at: deps.clock.now() });
    if (await written(deps.bus, at.begin, record)) return { state: 'begun' };
    const ended = await read(deps.bus, at, at.done, DoneRecord);
    if (ended !== null) return { state: 'done', ...(ended.result === undefined ? {} : { result: ended.result }) };
    const begun = await read(deps.bus, at, at.begin, BeginRecord);
    if (begun?.claim === claim) return { state: 'begun' };
    if (begun !== null) return { state: 'open', at: begun.at };
  }
  throw new AppError('unavailable', 'the record changes all the time: ask again', { retryable: true });
}

async function done(deps: Deps, at: Address, { key, claim, result }: Body<'done'>): Promise<{ ok: true }> {
  await mustOwn(deps.bus, at, claim);
  const record = { v: 1, key, claim, ...(result === undefined ? {} : { result }) };
  await written(deps.bus, at.done, JSON.stringify(record));
  return { ok: true };
}

async function takeBack({ bus }: Deps, at: Address, { claim }: Body<'failed'>): Promise<{ ok: true }> {
  const begun = await mustOwn(bus, at, claim);
  if ((await read(bus, at, at.done, DoneRecord)) !== null || (await bus.remove(at.stream, begun))) return { ok: true };
  throw new AppError('unavailable', 'the copies of the record differ: ask again', { retryable: true });
}

async function mustOwn(bus: Bus, at: Address, claim: string): Promise<Stored> {
  const begun = await read(bus, at, at.begin, BeginRecord);
  if (begun?.claim === claim) return begun;
  throw new AppError('forbidden', 'another try began this, or nobody did: only who began may say how it ended');
}

/** Whether it was stored; false when something is there already. */
async function written(bus: Bus, subject: string, record: string): Promise<boolean> {
  try {
    await bus.publish(subject, record);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'taken') return false;
    throw error;
  }
}

async function read<S extends z.ZodType>(
  bus: Bus,
  at: Address,
  subject: string,
  schema: S,
): Promise<(z.output<S> & Stored) | null> {
  const stored = await bus.last(at.stream, subject, { authoritative: true });
  if (stored === null) return null;
  const record = schema.parse(JSON.parse(stored.data)) as object;
  const { seq, data } = stored;
  return Object.assign(record, { seq, subject, data }) as z.output<S> & Stored;
}
