import { connectionOf, type Login } from '../app/folder.ts';
import type { NatsBus } from '../app/local.ts';
import type { PolicyDetails } from '../client/answers.ts';
import { createClient } from '../client/client.ts';
import { createOperator } from '../client/operator.ts';
import { toAppError } from '../core/errors.ts';
import { periodOf } from '../core/ids.ts';
import { journalStream, type StreamSpec, snapshotStream, streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import { VERSION } from '../core/version.ts';
import { type Place, withBus } from './connect.ts';
import { duration, line } from './format.ts';

/** The server and what runs on it, seen with the rights that this user has. */

export interface Check {
  what: string;
  state: 'ok' | 'warn' | 'FAIL';
  found: string;
  /** What to do. */
  advice?: string;
}
export type Tell = (check: Check) => void;

/** Journal entries, results and answers of nodes are made to fit this, bytes. */
const NEEDED_PAYLOAD = 1024 * 1024;
const CLOCK_WARN_MS = 500;

/** @param own the server is the one of NATS_URL: one login does everything */
export async function checkServer(place: Place, own: boolean, tell: Tell): Promise<void> {
  let reached = false;
  await attempt('server', 'Start one with: proctor up', tell, () =>
    withBus(place, { role: 'node' }, async (bus, subjects) => {
      reached = true;
      tell({ what: 'server', state: 'ok', found: 'answers' });
      tellVersion(bus, tell);
      tell({ what: 'JetStream', state: 'ok', found: 'on' });
      tellPayload(bus, tell);
      await checkStreams(bus, subjects, tell);
      await attempt('clock', 'Is the clock stream there?', tell, () => checkClock(bus, subjects, tell));
    }),
  );
  if (!reached) return;
  await attempt('node', 'Start one with: proctor up', tell, () =>
    withBus(place, { role: 'operator' }, async (bus, subjects) => {
      const operator = createOperator({ bus, subjects, by: 'doctor' });
      const node = await operator.node();
      const says = `${node.node} answers, version ${node.version}, agents ${node.agents.join(', ')}, ${node.active_runs} runs in work`;
      const same = node.version === VERSION;
      tell({
        what: 'node',
        state: same ? 'ok' : 'warn',
        found: says,
        ...(same ? {} : { advice: `This is ${VERSION}: use the same version` }),
      });
      tell({ what: 'rights', state: 'ok', found: 'operator may ask the nodes' });
      tellPolicy(await operator.policy(), tell);
    }),
  );
  const users = own ? [] : Object.keys((await connectionOf(place.dir)).credentials.submitters);
  for (const user of users) {
    const what = `rights of submitter ${user}`;
    await attempt(what, 'Delete the damaged key file and start proctor up again', tell, () =>
      checkSubmitter(place, { role: 'submitter', user }, what, tell),
    );
  }
}

async function attempt(what: string, advice: string, tell: Tell, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    // That nothing runs in the folder says already what to do.
    tell({ what, state: 'FAIL', found: message, ...(code === 'not_running' ? {} : { advice }) });
  }
}

/** Who meets agents that refuse to write finds here why. */
function tellPolicy({ version, by, source }: PolicyDetails, tell: Tell): void {
  if (version > 0) {
    const from = source === '' ? '' : `, from ${line(source)}`;
    tell({ what: 'policy', state: 'ok', found: `version ${version}, by ${line(by)}${from}` });
    return;
  }
  const advice = 'Say how far each is trusted: proctor policy apply FILE --why TEXT';
  tell({ what: 'policy', state: 'warn', found: 'none was applied: every agent only reads', advice });
}

function tellVersion(bus: NatsBus, tell: Tell): void {
  // Older ones are refused when connecting; clusters of three want 2.11.
  tell({ what: 'server version', state: 'ok', found: `${bus.serverVersion}, fine for one server` });
}

function tellPayload(bus: NatsBus, tell: Tell): void {
  const found = `${bus.maxPayload} bytes`;
  const enough = bus.maxPayload >= NEEDED_PAYLOAD;
  const advice = `Set max_payload of the server to ${NEEDED_PAYLOAD} or more`;
  tell({ what: 'max payload', state: enough ? 'ok' : 'FAIL', found, ...(enough ? {} : { advice }) });
}

async function checkStreams(bus: NatsBus, subjects: Subjects, tell: Tell): Promise<void> {
  const missing: string[] = [];
  let right = 0;
  const look = async (spec: StreamSpec, needed: boolean) => {
    const faults = await bus.streamFaults(spec);
    if (faults === null) return void (needed && missing.push(spec.name));
    if (faults.length === 0) right++;
    else {
      const advice = 'Change it back with the nats command, or use another --prefix';
      tell({ what: `stream ${spec.name}`, state: 'FAIL', found: faults.join('; '), advice });
    }
  };
  const today = periodOf(Date.now());
  try {
    for (const spec of Object.values(streamsOf(subjects))) await look(spec, true);
    // These two are made with the first run of a day.
    for (const spec of [journalStream(subjects, today), snapshotStream(subjects, today)]) await look(spec, false);
  } catch (thrown) {
    const advice = 'With these rights streams cannot be seen: try the credentials of a node';
    return tell({ what: 'streams', state: 'warn', found: toAppError(thrown).message, advice });
  }
  if (missing.length > 0) {
    return tell({
      what: 'streams',
      state: 'FAIL',
      found: `missing: ${missing.join(', ')}`,
      advice: 'A node makes them: proctor up',
    });
  }
  if (right > 0) tell({ what: 'streams', state: 'ok', found: `${right} there, with the right settings` });
}

async function checkClock(bus: NatsBus, subjects: Subjects, tell: Tell): Promise<void> {
  const offset = await bus.serverTimeOffset(streamsOf(subjects).clock.name, subjects.clock('doctor'));
  const found = `the server's is ${duration(Math.abs(offset))} ${offset < 0 ? 'behind' : 'ahead of'} this machine's`;
  if (Math.abs(offset) < CLOCK_WARN_MS) return tell({ what: 'clock', state: 'ok', found });
  tell({
    what: 'clock',
    state: 'warn',
    found,
    advice: 'Nodes allow for it; tool workers need synchronised clocks: use NTP',
  });
}

/** A submitter that may ask learns that a run does not exist; one that may not gets no answer. */
async function checkSubmitter(place: Place, login: Login & { user: string }, what: string, tell: Tell): Promise<void> {
  await withBus(place, login, async (bus, subjects) => {
    const client = createClient({ bus, subjects, user: login.user });
    const said = await client.status('20000101-doctor-0').then(
      () => 'unknown_run',
      (thrown: unknown) => toAppError(thrown).code,
    );
    if (said === 'unknown_run') tell({ what, state: 'ok', found: 'may submit and ask' });
    else tell({ what, state: 'FAIL', found: `a question was answered with ${said}`, advice: 'Start proctor up again' });
  });
}
