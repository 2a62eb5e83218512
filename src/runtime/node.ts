import type { GivenOrder } from '../core/cluster-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { type QueueSpec, streamsOf } from '../core/streams.ts';
import type { Delivery, Subscription } from '../ports/bus.ts';
import type { Cancel } from '../ports/clock.ts';
import { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';
import { serveDoors } from './doors.ts';
import { followAgents } from './follow-agents.ts';
import { serveIdempotency } from './idempotency.ts';
import { Inbox } from './inbox.ts';
import { Intake } from './intake.ts';
import { NodeOrders } from './node-orders.ts';
import { refuseNamesake, reporter, serveReports } from './node-reports.ts';
import { PullLoop } from './pull-loop.ts';
import { RunTaking } from './run-taking.ts';
import { startSweep } from './sweep.ts';
import { SwitchSweep } from './switch-sweep.ts';

/** Tasks and inbox messages that a node works on at once. */
const INTAKE_ROOM = 64;
const INBOX_ROOM = 64;
const SWITCH_ROOM = 4;

/** A supervisor node: takes tasks, owns runs, answers requests. Any number of them share one bus. */
export interface SupervisorNode {
  readonly activeRuns: number;
  /** Names of the agents that it knows. */
  readonly agents: string[];
  /** The order of an operator that keeps runs away from it; null when it takes them. */
  readonly order: GivenOrder | null;
  /** Why it begins nothing now although it runs; empty when it does. */
  notReady(): string[];
  /** Takes no more work, hands its runs over, and leaves the bus alone; resolves when nothing of it is left. */
  stop(): Promise<void>;
  /** Lets go of everything at once: the leases of its runs expire. */
  abandon(): Promise<void>;
}

/** Creates what is missing on the bus and starts to work. Throws AppError when the bus refuses. */
export async function startNode(deps: NodeDeps): Promise<SupervisorNode> {
  const { bus, subjects, settings, clock, log, agents } = deps;
  // Each claim holds it; one that is too long could be written and not read back.
  if (deps.node === '' || deps.node.length > 128) {
    throw new AppError('invalid_settings', `node name: ${deps.node.length} characters; expected 1 to 128`);
  }
  await refuseNamesake(deps);
  const streams = streamsOf(subjects);
  await Promise.all(Object.values(streams).map((spec) => bus.ensureStream(spec)));
  await deps.switches.start();
  await agents.start();

  const loops: PullLoop[] = [];
  const freed = () => {
    for (const loop of loops) loop.roomFreed();
    taking.roomFreed();
  };
  const activations = new Activations(deps, freed);
  const orders: NodeOrders = new NodeOrders(deps, {
    hold: () => taking.changed(),
    handOver: () => activations.handOverAll(false),
    resume: () => {
      activations.keep();
      taking.changed();
    },
  });
  const taking = new RunTaking(deps, activations, () => orders.takesRuns);
  const report = reporter(deps, activations, orders);
  const inbox = new Inbox(deps, activations);
  const intake = new Intake(deps);
  const switchSweep = new SwitchSweep(deps);
  const counts = new Map<string, number>();
  const inWork = (key: string) => counts.get(key) ?? 0;
  const counted = (key: string, work: Promise<void>) => {
    counts.set(key, inWork(key) + 1);
    void work.finally(() => {
      counts.set(key, inWork(key) - 1);
      freed();
    });
  };

  /** @param held how many messages of the queue are in work now, of at most `capacity` */
  const open = async (
    spec: QueueSpec,
    capacity: number,
    held: () => number,
    work: (delivery: Delivery) => Promise<void>,
  ) => {
    await bus.ensureQueue(spec);
    const queue = await bus.queue(spec);
    const room = () => capacity - held();
    const onDelivery = (delivery: Delivery) => counted(spec.name, work(delivery));
    return () => loops.push(new PullLoop({ queue, capacity, room, onDelivery, clock, log, name: spec.name }));
  };
  const starts = await Promise.all([
    open(
      {
        stream: streams.tasks.name,
        name: 'intake',
        filter: `${subjects.prefix}.tasks.>`,
        ackWaitMs: settings.lease_ms,
      },
      INTAKE_ROOM,
      () => inWork('intake'),
      (delivery) => intake.take(delivery),
    ),
    open(
      { stream: streams.inbox.name, name: 'inbox', filter: `${subjects.prefix}.in.>`, ackWaitMs: settings.lease_ms },
      INBOX_ROOM,
      () => inWork('inbox'),
      (delivery) => inbox.take(delivery),
    ),
    open(
      {
        stream: streams.switches.name,
        name: 'switches',
        filter: `${subjects.prefix}.switch.>`,
        ackWaitMs: settings.lease_ms,
      },
      SWITCH_ROOM,
      () => inWork('switches'),
      (delivery) => switchSweep.take(delivery),
    ),
  ]);
  const served: Subscription[] = [
    inbox.serveOffers(),
    bus.serve(subjects.node(deps.node, 'owns'), async (request) => {
      const { run } = JSON.parse(request.data) as { run: string };
      return String(activations.owners.has(run));
    }),
    ...serveDoors(deps, activations),
    serveIdempotency(deps),
    orders.serve(report),
  ];
  const reports = serveReports(deps, report);
  await taking.start();
  const unfollow = await followAgents(deps, (agent) => taking.open(agent));
  for (const start of starts) start();
  const unswitch = deps.switches.onChange((scopes) => activations.switched(scopes));
  const heartbeat = startHeartbeat(deps, activations);
  const sweep = startSweep(deps);
  const unobserve = deps.telemetry?.metrics?.observe(async () => ({ agents: await taking.figures() })) ?? (() => {});
  log.info('node.started', {
    node: deps.node,
    agents: agents.names(),
    slots: settings.slots,
    lease_ms: settings.lease_ms,
  });

  const quit = async () => {
    orders.stopping();
    sweep();
    unobserve();
    unfollow();
    await agents.stop();
    await Promise.all([taking.stop(), ...loops.map((loop) => loop.stop())]);
    await Promise.all(served.map((one) => one.stop()));
  };
  return {
    get activeRuns() {
      return activations.owners.size;
    },
    get agents() {
      return agents.names();
    },
    get order() {
      return orders.inForce;
    },
    notReady() {
      const frozen = deps.switches.notReady();
      return frozen === null ? [] : [frozen];
    },
    async stop() {
      await quit();
      activations.handOverAll(true);
      await activations.idle(settings.drain_ms);
      heartbeat();
      activations.stop();
      await Promise.all(reports.map((one) => one.stop()));
      unswitch();
      await deps.switches.stop();
      deps.watchdog.stop();
      log.info('node.stopped', { node: deps.node });
    },
    async abandon() {
      deps.watchdog.stop();
      heartbeat();
      deps.switches.quit();
      activations.stop();
      await Promise.all(reports.map((one) => one.stop()));
      await quit();
    },
  };
}

/**
 * Signs of life for all runs owned, three times a lease. A process that stood still or was cut off for longer than the
 * lease may have lost them: it looks at the journals before it claims to be alive again.
 */
function startHeartbeat({ bus, clock, settings, log }: NodeDeps, activations: Activations): Cancel {
  const every = Math.floor(settings.lease_ms / 3);
  let last = clock.now();
  let cancel: Cancel;
  const beat = () => {
    cancel = clock.after(every, beat);
    // What the server does not hear is no sign of life.
    if (!bus.connected) return;
    const now = clock.now();
    const stood = now - last;
    last = now;
    if (stood > settings.lease_ms) {
      log.warn('node.stood_still', {
        ms: stood,
        lease_ms: settings.lease_ms,
        consequence: 'runs may have moved to other nodes',
      });
      activations.verifyAll().then(
        () => activations.heartbeat(),
        (error: unknown) => log.warn('node.verify_failed', { message: toAppError(error).message }),
      );
    } else {
      activations.heartbeat();
    }
  };
  cancel = clock.after(every, beat);
  return () => cancel();
}
