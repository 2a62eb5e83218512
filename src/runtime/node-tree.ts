import type { ChildInput, SupervisorInput } from '../../supervisors/spec-types.ts';
import type { NodeReport } from '../core/cluster-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { Delivery, Queue, Subscription } from '../ports/bus.ts';
import type { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';
import { serveDoors } from './doors.ts';
import { followAgents } from './follow-agents.ts';
import { startHeartbeat } from './heartbeat.ts';
import { serveIdempotency } from './idempotency.ts';
import { Inbox } from './inbox.ts';
import type { Inspection } from './inspection.ts';
import { Intake } from './intake.ts';
import { lastingQueue } from './lasting-queue.ts';
import type { NodeOrders } from './node-orders.ts';
import { refuseNamesake, serveReports } from './node-reports.ts';
import { startOrphanSweep } from './orphan-sweep.ts';
import { PullLoop } from './pull-loop.ts';
import { pullTime } from './pull-time.ts';
import { RunTaking } from './run-taking.ts';
import type { RunTree } from './run-tree.ts';
import { type Own, type Stop, service } from './service.ts';
import { startSweep } from './sweep.ts';
import { SwitchSweep } from './switch-sweep.ts';
import type { TreeReport } from './tree-report.ts';

/**
 * The supervision tree of a node as its specification. Started from the top down, stopped from the bottom up: so no more
 * work is taken first, then the runs are handed over while their leases are still kept and the node still answers who
 * asks for it, and the switches are left last.
 */

/** Tasks, inbox messages and orders that a node works on at once. */
const INTAKE_ROOM = 64;
const INBOX_ROOM = 64;
const SWITCH_ROOM = 4;

/** What the parts of a node share: it outlives their restarts. */
export interface NodeParts {
  activations: Activations;
  orders: NodeOrders;
  report: () => NodeReport;
  tree: TreeReport;
  inspection: Inspection;
  runs: RunTree;
  /** Whoever takes runs now. */
  taking: { current: RunTaking | null };
  /** The consumers that all nodes share, by name. */
  queues: Map<string, Queue>;
  isUp: () => boolean;
}

export function nodeTree(deps: NodeDeps, parts: NodeParts): SupervisorInput {
  const { runs } = parts;
  return {
    strategy: 'rest_for_one',
    intensity: 3,
    periodMs: 60_000,
    children: [
      busChild(deps, parts),
      { id: 'control', backoff: BACKOFF, supervisor: { ...BUDGET, children: control(deps, parts) } },
      { id: 'agents', backoff: BACKOFF, supervisor: () => runs.spec() },
      { id: 'services', backoff: BACKOFF, supervisor: { ...BUDGET, children: services(deps, parts) } },
    ],
  };
}

/** A branch that ends is given time before it is started again: what made it end may pass. */
const BACKOFF = { minMs: 1_000, maxMs: 10_000, jitter: 0.2 };
const BUDGET = { strategy: 'one_for_one', intensity: 5, periodMs: 60_000 } as const;

/** The connection is made by whoever starts the node, and only handed in: here is what has to be there on the bus. */
function busChild(deps: NodeDeps, { queues, isUp }: NodeParts): ChildInput {
  const { bus, subjects, settings } = deps;
  return service('bus', deps, isUp, async () => {
    await refuseNamesake(deps);
    const streams = streamsOf(subjects);
    await Promise.all(Object.values(streams).map((spec) => bus.ensureStream(spec)));
    const shared = [
      { name: 'intake', stream: streams.tasks.name, filter: `${subjects.prefix}.tasks.>` },
      { name: 'inbox', stream: streams.inbox.name, filter: `${subjects.prefix}.in.>` },
      { name: 'switches', stream: streams.switches.name, filter: `${subjects.prefix}.switch.>` },
    ];
    await Promise.all(
      shared.map(async (one) => {
        queues.set(one.name, await lastingQueue(bus, { ...one, ackWaitMs: settings.lease_ms }));
      }),
    );
    return () => {};
  });
}

/** What a run needs until it is handed over. */
function control(deps: NodeDeps, { activations, report, tree, inspection, isUp }: NodeParts): ChildInput[] {
  const { switches, agents, ledger, policies } = deps;
  return [
    service('switches', deps, isUp, async ({ deps: { clock } }) => {
      const unfollow = switches.onChange((scopes) => activations.switched(scopes));
      const stop = () => {
        unfollow();
        return switches.stop();
      };
      return startedOr(stop, () => switches.start(clock));
    }),
    service('policy', deps, isUp, ({ deps: { clock } }) =>
      startedOr(
        () => policies.stop(),
        () => policies.start(clock),
      ),
    ),
    service('definitions', deps, isUp, ({ deps: { clock } }) =>
      startedOr(
        () => agents.stop(),
        () => agents.start(clock),
      ),
    ),
    service('ledger', deps, isUp, ({ deps: { clock } }) =>
      startedOr(
        () => ledger.stop(),
        () => ledger.start(clock),
      ),
    ),
    service('leases', deps, isUp, (own) => startHeartbeat(own.deps, activations)),
    service('reports', deps, isUp, () => stopAll([...serveReports(deps, report), tree.serve(), inspection.serve()])),
  ];
}

function services(deps: NodeDeps, parts: NodeParts): ChildInput[] {
  const { activations, orders, report, queues, isUp } = parts;
  const { bus, subjects } = deps;
  return [
    service('offers', deps, isUp, (own) => {
      const owns = bus.serve(subjects.node(deps.node, 'owns'), async (request) => {
        const { run } = JSON.parse(request.data) as { run: string };
        return String(activations.owners.has(run));
      });
      return stopAll([owns, new Inbox(own.deps, activations).serveOffers()]);
    }),
    service('doors', deps, isUp, () => stopAll(serveDoors(deps, activations))),
    service('idempotency', deps, isUp, () => stopAll([serveIdempotency(deps)])),
    service('orders', deps, isUp, () => stopAll([orders.serve(report)])),
    service('runs', deps, isUp, (own) => takeRuns(own, parts)),
    service('intake', deps, isUp, (own) => {
      const intake = new Intake(own.deps);
      return pull(own, queues, 'intake', INTAKE_ROOM, (one) => intake.take(one));
    }),
    service('inbox', deps, isUp, (own) => {
      const inbox = new Inbox(own.deps, activations);
      return pull(own, queues, 'inbox', INBOX_ROOM, (one) => inbox.take(one));
    }),
    service('switch-sweep', deps, isUp, (own) => {
      const sweep = new SwitchSweep(own.deps);
      return pull(own, queues, 'switches', SWITCH_ROOM, (one) => sweep.take(one));
    }),
    service('queue-sweep', deps, isUp, (own) => startSweep(own.deps)),
    service('orphan-sweep', deps, isUp, (own) => startOrphanSweep(own.deps)),
    ...(deps.telemetry?.metrics == null ? [] : [metrics(deps, parts)]),
  ];
}

function metrics(deps: NodeDeps, { taking, isUp }: NodeParts): ChildInput {
  return service('metrics', deps, isUp, () => {
    const figures = async () => ({ agents: (await taking.current?.figures()) ?? [] });
    return deps.telemetry?.metrics?.observe(figures) ?? (() => {});
  });
}

async function takeRuns({ deps, fail }: Own, { activations, orders, runs, taking }: NodeParts): Promise<Stop> {
  const mine = new RunTaking(deps, { activations, tree: runs, takesRuns: () => orders.takesRuns, onFault: fail });
  let unfollow: Stop = () => {};
  const stop = async () => {
    activations.leave();
    unfollow();
    await mine.stop();
    if (taking.current === mine) taking.current = null;
  };
  return startedOr(stop, async () => {
    if (orders.keepsRuns) activations.keep();
    taking.current = mine;
    await mine.start();
    unfollow = await followAgents(deps, (agent) => mine.open(agent));
  });
}

/** Works on the messages of a queue, as many at once as there is room for. */
function pull(
  { deps, fail }: Own,
  queues: NodeParts['queues'],
  name: string,
  capacity: number,
  work: (delivery: Delivery) => Promise<void>,
): Stop {
  const { clock, log } = deps;
  const queue = queues.get(name);
  if (queue === undefined) throw new AppError('not_opened', `the consumer ${name} was not opened`);
  let inWork = 0;
  const onDelivery = (delivery: Delivery) => {
    inWork++;
    const done = () => {
      inWork--;
      loop.roomFreed();
    };
    work(delivery).then(done, (thrown: unknown) => {
      done();
      fail(thrown);
    });
  };
  const room = () => capacity - inWork;
  const loop = new PullLoop({
    queue,
    capacity,
    room,
    onDelivery,
    onFault: fail,
    waitMs: pullTime(deps.settings),
    clock,
    log,
    name,
  });
  return () => loop.stop();
}

/** Undoes a start that fails half way. */
async function startedOr(stop: Stop, start: () => Promise<unknown>): Promise<Stop> {
  try {
    await start();
    return stop;
  } catch (thrown) {
    await Promise.resolve(stop()).catch((error: unknown) => toAppError(error));
    throw thrown;
  }
}

function stopAll(subscriptions: Subscription[]): Stop {
  return () => Promise.all(subscriptions.map((one) => one.stop()));
}
