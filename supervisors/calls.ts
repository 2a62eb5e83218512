import type { ChildSpec } from './child-spec.ts';
import { failure, failureOf } from './exit-reason.ts';
import { partitionOf } from './partition.ts';
import type { Call, CallError, ChildState, Counts, Reply, Request, SpecView } from './requests.ts';
import { type ChildRecord, newRecord, recordById, recordOf, type Step, type SupervisorState } from './state.ts';
import { readAddedChild, readSupervisorSpec } from './supervisor-spec.ts';
import type { Turn } from './turn.ts';

/** The calls of OTP's supervisor module. One is served at a time, in the order they came. */

/** What a call leads to: an answer now, or work that answers when it is done. */
type Outcome = Reply | 'later';

export function serve(turn: Turn, { call, request }: Call): void {
  const outcome = serveRequest(turn, call, request);
  if (outcome !== 'later') turn.reply(call, outcome);
}

function serveRequest(turn: Turn, call: number, request: Request): Outcome {
  const { state } = turn;
  switch (request?.type) {
    case 'start_child':
      return startChild(turn, call, request.spec);
    case 'terminate_child':
      return isDynamic(state) ? no('unsupported') : terminate(turn, call, recordById(state, request.id));
    case 'terminate_ref':
      return terminate(turn, call, isDynamic(state) ? recordOf(state, request.ref) : undefined);
    case 'restart_child':
      return isDynamic(state) ? no('unsupported') : restartChild(turn, call, recordById(state, request.id));
    case 'delete_child':
      return isDynamic(state) ? no('unsupported') : deleteChild(turn, recordById(state, request.id));
    case 'reload':
      return reload(turn, request.spec);
    case 'resize':
      return resize(turn, call, request.size);
    case 'which_children':
    case 'which_child':
    case 'which_partition':
    case 'count_children':
    case 'get_childspec':
      return look(state, request);
    default:
      return { ok: false, error: 'bad_request', reason: failure('bad_request', 'no such call of a supervisor') };
  }
}

function look(state: SupervisorState, request: Request): Reply {
  const record = 'id' in request ? recordById(state, request.id) : undefined;
  if (request.type === 'which_children') {
    const records = state.children.values().toReversed();
    return {
      ok: true,
      children: records.map((each) => ({ id: each.spec.id, child: stateOf(each), type: each.spec.type })),
    };
  }
  if (request.type === 'count_children') return { ok: true, counts: countChildren(state) };
  if (request.type === 'which_partition') return whichPartition(state, request.key);
  if (record === undefined) return no('not_found');
  return request.type === 'get_childspec'
    ? { ok: true, spec: specView(record.spec) }
    : { ok: true, child: stateOf(record) };
}

function whichPartition(state: SupervisorState, key: string | number): Reply {
  if (state.size === null) return no('unsupported');
  if (state.size === 0) return no('no_partitions');
  if (typeof key !== 'string' && typeof key !== 'number') {
    return { ok: false, error: 'bad_request', reason: failure('bad_request', 'key: expected a text or a number') };
  }
  const partition = partitionOf(key, state.size);
  const record = recordById(state, String(partition));
  return record === undefined ? no('not_found') : { ok: true, partition, child: stateOf(record) };
}

function startChild(turn: Turn, call: number, input: unknown): Outcome {
  const { state } = turn;
  if (state.flags.partitions !== null) return no('unsupported');
  let spec: ChildSpec;
  try {
    spec = readAddedChild(state.flags, input);
  } catch (error) {
    return { ok: false, error: 'bad_spec', reason: failureOf(error, 'bad_child_spec') };
  }
  const { maxChildren } = state.flags;
  if (maxChildren !== null && state.children.size >= maxChildren) return no('max_children');
  const present = isDynamic(state) ? undefined : recordById(state, spec.id);
  if (present?.status === 'running' && present.ref !== null) {
    return { ok: false, error: 'already_started', ref: present.ref };
  }
  if (present !== undefined) return no('already_present');
  const slot = state.nextSlot;
  turn.patch({ children: state.children.set(slot, newRecord(slot, spec)), nextSlot: slot + 1 });
  turn.begin({ type: 'start_child', call }, [{ do: 'start', slot }]);
  return 'later';
}

function terminate(turn: Turn, call: number, record: ChildRecord | undefined): Outcome {
  if (record === undefined) return no('not_found');
  if (record.status === 'running') {
    turn.begin({ type: 'terminate_child', call }, [{ do: 'stop', slots: [record.slot] }]);
    return 'later';
  }
  turn.settle(record, true);
  return { ok: true };
}

function restartChild(turn: Turn, call: number, record: ChildRecord | undefined): Outcome {
  if (record === undefined) return no('not_found');
  if (record.status === 'running') return no('running');
  if (record.status === 'restarting') return no('restarting');
  turn.begin({ type: 'restart_child', call }, [{ do: 'start', slot: record.slot }]);
  return 'later';
}

function deleteChild(turn: Turn, record: ChildRecord | undefined): Outcome {
  if (record === undefined) return no('not_found');
  if (record.status === 'running') return no('running');
  if (record.status === 'restarting') return no('restarting');
  if (turn.state.flags.partitions !== null) return no('unsupported');
  turn.patch({ children: turn.state.children.delete(record.slot) });
  return { ok: true };
}

function reload(turn: Turn, input: unknown): Reply {
  const { flags } = turn.state;
  try {
    const next = readSupervisorSpec(input);
    const kind = (one: typeof flags): string => `${one.strategy === 'dynamic'}, ${one.partitions}`;
    if (kind(next.flags) !== kind(flags)) {
      const text =
        'strategy, partitions: a reload cannot change whether a supervisor is dynamic or how it is partitioned';
      return { ok: false, error: 'bad_spec', reason: failure('bad_supervisor_spec', text) };
    }
    turn.patch({ flags: next.flags });
    for (const spec of next.children) putSpec(turn, spec);
    return { ok: true };
  } catch (error) {
    return { ok: false, error: 'bad_spec', reason: failureOf(error, 'bad_supervisor_spec') };
  }
}

function putSpec(turn: Turn, spec: ChildSpec): void {
  const record = recordById(turn.state, spec.id);
  if (record === undefined) {
    const slot = turn.state.nextSlot;
    const added = { ...newRecord(slot, spec), resting: true };
    turn.patch({ children: turn.state.children.set(slot, added), nextSlot: slot + 1 });
    return;
  }
  const running = record.status === 'running' && spec.restart === 'temporary';
  turn.update(record, { spec: running ? { ...spec, run: null, input: undefined } : spec });
}

function resize(turn: Turn, call: number, size: number): Outcome {
  const { size: before, flags } = turn.state;
  if (before === null || flags.partitions === null) return no('unsupported');
  if (!Number.isSafeInteger(size) || size < 0 || size > flags.partitions) {
    const text = `size: expected a whole number from 0 to ${flags.partitions}, the partitions at the start`;
    return { ok: false, error: 'bad_request', reason: failure('bad_request', text) };
  }
  const records = turn.state.children.values();
  const between = (low: number, high: number): ChildRecord[] =>
    records.filter(({ spec }) => Number(spec.id) >= low && Number(spec.id) < high);
  const stops = between(size, before).toReversed();
  for (const record of stops) if (record.status === 'restarting') turn.settle(record, true);
  const steps: Step[] = [
    ...stops.map(({ slot }): Step => ({ do: 'stop', slots: [slot] })),
    ...between(before, size).map(({ slot }): Step => ({ do: 'start', slot })),
  ];
  turn.patch({ size });
  turn.begin({ type: 'resize', call, before }, steps);
  return 'later';
}

export function countChildren(state: SupervisorState): Counts {
  const records = state.children.values();
  const supervisors = records.filter((record) => record.spec.type === 'supervisor').length;
  return {
    specs: records.length,
    active: records.filter((record) => record.status === 'running').length,
    supervisors,
    workers: records.length - supervisors,
  };
}

function stateOf(record: ChildRecord): ChildState {
  if (record.status === 'running' && record.ref !== null) return { ref: record.ref };
  return record.status === 'restarting' ? 'restarting' : 'stopped';
}

function specView({ id, restart, shutdown, type, significant, startMs }: ChildSpec): SpecView {
  return { id, restart, shutdown, type, significant, startMs };
}

function isDynamic(state: SupervisorState): boolean {
  return state.flags.strategy === 'dynamic';
}

function no(error: CallError): Reply {
  return { ok: false, error };
}
