import type { AnyActor, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import { supervisorMachine } from '../../supervisors/host/machine.ts';
import type { Supervisor } from '../../supervisors/supervisor.ts';
import type { ApiBody } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import {
  type ActorAddress,
  Inspected,
  InspectQuery,
  MAX_MACHINES,
  MAX_WATCHED,
  WATCH_LEASE_MS,
} from '../core/inspect-wire.ts';
import type { TreeMachine } from '../core/tree-wire.ts';
import type { Subscription } from '../ports/bus.ts';
import type { Cancel } from '../ports/clock.ts';
import { askNode } from './ask-node.ts';
import type { NodeDeps } from './deps.ts';
import { activeIn, type Watchable, WatchedActor } from './watched-actor.ts';

/**
 * What of a node can be watched as a state chart: its supervisors, and the machines that a program in its process has shown
 * it. Nothing is attached to an actor that nobody watches; a watch that is not renewed ends by itself.
 */

interface Watch {
  /** The supervisor or actor: another one may have taken its address. */
  owner: Supervisor | AnyActor;
  watched: WatchedActor;
  expire: Cancel;
}

export class Inspection {
  private readonly deps: NodeDeps;
  private readonly root: () => Supervisor;
  private readonly shown = new Map<string, AnyActor>();
  private readonly watches = new Map<string, Watch>();

  constructor(deps: NodeDeps, root: () => Supervisor) {
    this.deps = deps;
    this.root = root;
  }

  /**
   * @returns what takes it back
   * Throws AppError `invalid_machine` (the name, or no actor of a state machine), `name_taken`, `too_many`.
   */
  show(name: string, actor: AnyActor): () => void {
    if (typeof name !== 'string' || name === '' || name.length > 128) {
      throw new AppError('invalid_machine', 'name: expected 1 to 128 characters', { field: 'name' });
    }
    if (machineOf(actor) === null) {
      const text = `actor: expected an actor of an XState 5 machine, from createActor(machine), to be shown as "${name}"`;
      throw new AppError('invalid_machine', text, { field: 'actor' });
    }
    if (this.shown.has(name)) {
      const text = `name: a machine is shown as "${name}" already: take that one back, or name this one otherwise`;
      throw new AppError('name_taken', text, { field: 'name' });
    }
    if (this.shown.size >= MAX_MACHINES) {
      const text = `a node shows at most ${MAX_MACHINES} machines: take those back that nobody looks at`;
      throw new AppError('too_many', text, { field: 'name' });
    }
    this.shown.set(name, actor);
    return () => {
      if (this.shown.get(name) !== actor) return;
      this.shown.delete(name);
      this.end(this.subjectOf({ kind: 'machine', path: [name] }));
    };
  }

  /** The machines, as the tree of the node tells them. */
  machines(): TreeMachine[] {
    return [...this.shown].map(([name, actor]) => {
      const snapshot = actor.getSnapshot() as AnyMachineSnapshot;
      return { name, status: snapshot.status, state: activeIn(snapshot).join(', ').slice(0, 1_024) };
    });
  }

  serve(): Subscription {
    const { bus, subjects, node } = this.deps;
    const served = bus.serve(subjects.node(node, 'inspect'), ({ data }) =>
      Promise.resolve(JSON.stringify(this.watch(InspectQuery.parse(JSON.parse(data))))),
    );
    return {
      stop: async () => {
        for (const subject of [...this.watches.keys()]) this.end(subject);
        await served.stop();
      },
    };
  }

  /** Throws AppError `unknown_actor`, `too_many`, `too_large`. */
  private watch({ kind, path, chart }: InspectQuery): Inspected {
    const subject = this.subjectOf({ kind, path });
    const owner = this.find({ kind, path });
    if (this.watches.get(subject)?.owner !== owner) this.end(subject);
    if (owner === null) {
      const what = kind === 'machine' ? `shows no machine "${path.join('/')}"` : `has no supervisor ${path.join('/')}`;
      throw new AppError('unknown_actor', `node "${this.deps.node}" ${what} now`, { field: 'path' });
    }
    const { watched } = this.renewed(subject, owner);
    return { state: watched.now(), ...(chart ? { chart: watched.chart } : {}), lease_ms: WATCH_LEASE_MS };
  }

  private renewed(subject: string, owner: Supervisor | AnyActor): Watch {
    const { bus, clock, ids } = this.deps;
    let watch = this.watches.get(subject);
    if (watch === undefined) {
      if (this.watches.size >= MAX_WATCHED) {
        const text = `${MAX_WATCHED} charts of node "${this.deps.node}" are watched now: close some, and try again`;
        throw new AppError('too_many', text, { retryable: true });
      }
      const tell = (state: object) => bus.emit(subject, JSON.stringify(state));
      const watched = new WatchedActor(watchableOf(owner), { id: ids.random().slice(0, 64), clock, tell });
      watch = { owner, watched, expire: () => {} };
      this.watches.set(subject, watch);
    }
    watch.expire();
    watch.expire = clock.after(WATCH_LEASE_MS, () => this.end(subject));
    return watch;
  }

  private end(subject: string): void {
    const watch = this.watches.get(subject);
    if (watch === undefined) return;
    this.watches.delete(subject);
    watch.expire();
    watch.watched.stop();
  }

  private find({ kind, path }: ActorAddress): Supervisor | AnyActor | null {
    if (kind === 'machine') return path.length === 1 ? (this.shown.get(path[0] ?? '') ?? null) : null;
    let found: Supervisor | null = this.root();
    for (const id of path) found = found?.nested(id) ?? null;
    return found?.state == null ? null : found;
  }

  private subjectOf({ kind, path }: ActorAddress): string {
    return this.deps.subjects.inspection(this.deps.node, kind, path);
  }
}

function watchableOf(owner: Supervisor | AnyActor): Watchable {
  if ('nested' in owner) return ofSupervisor(owner);
  const machine = machineOf(owner) as AnyStateMachine;
  return {
    machine,
    snapshot: () => owner.getSnapshot() as AnyMachineSnapshot,
    attach: (observer) => {
      const { unsubscribe } = owner.system.inspect((event) => {
        // The system of an actor tells of all that are in it, and what is thrown here would end the actor.
        try {
          if (event.actorRef === owner) observer(event);
        } catch {
          return;
        }
      });
      return unsubscribe;
    },
  };
}

function ofSupervisor(supervisor: Supervisor): Watchable {
  return {
    machine: supervisorMachine,
    snapshot: () => supervisor.actor?.getSnapshot() as AnyMachineSnapshot,
    attach: (observer) => supervisor.inspect(observer),
  };
}

/** Judged by its shape: it may be of another copy of XState than ours. */
function machineOf(actor: AnyActor): AnyStateMachine | null {
  const { logic, system } = (actor ?? {}) as Partial<AnyActor>;
  const isMachine = (logic as Partial<AnyStateMachine> | undefined)?.root?.states !== undefined;
  return isMachine && typeof system?.inspect === 'function' ? (logic as AnyStateMachine) : null;
}

/** What the node that has the actor answers, wherever it is. Throws as that node, and AppError `no_actor`. */
export async function inspectOnNode(deps: NodeDeps, { node, ...query }: ApiBody<'inspect'>): Promise<Inspected> {
  const answer = await askNode(deps, node, 'inspect', query, { code: 'no_actor', tells: 'what its actors do' });
  const found = Inspected.safeParse(answer).data;
  if (found !== undefined) return found;
  throw new AppError('no_actor', `node "${node}": its version tells of its actors in another form`, { field: 'node' });
}
