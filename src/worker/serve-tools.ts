import { BEAT_MS, HeartbeatMs } from '../core/beat-wire.ts';
import { AppError, describeFaults } from '../core/errors.ts';
import type { Subjects } from '../core/subjects.ts';
import { ToolDefinition } from '../core/tool.ts';
import { toolService } from '../core/tool-wire.ts';
import type { Bus, Subscription } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { HeardSwitches } from './heard-switches.ts';
import { LargeResults } from './large-results.ts';
import { Remembered } from './remembered.ts';
import { Room } from './room.ts';
import { describeService, SERVICE_VERBS, serviceSubjects } from './service-info.ts';
import { ToolEndpoint } from './tool-endpoint.ts';
import type { WorkerTool } from './worker-tool.ts';

export interface ServeToolsOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  tools: WorkerTool[];
  log: Log;
  /** Names this worker instance: 1 to 64 letters, digits, `_` or `-`; no other worker may use it. */
  id: string;
  /** Semantic version of the worker; default 1.0.0. */
  version?: string;
  /** Calls that all tools together carry out at once; default 64. What comes above it is refused with `busy`. */
  concurrency?: number;
  /** How often a call in work shows a sign of life, 50 to 60,000 milliseconds; default 2,000. */
  heartbeatMs?: number;
}

/** Calls that one tool carries out at once, and all of them, where nothing else is said. */
const TOOL_CONCURRENCY = 16;
const WORKER_CONCURRENCY = 64;

export interface Worker {
  readonly id: string;
  /**
   * Takes no further calls; resolves when the running ones have ended or passed their deadline, and large results were
   * fetched or kept for a minute.
   */
  stop(): Promise<void>;
}

/**
 * Offers tools on the bus, each as a NATS service of its own; workers that offer the same tool share its calls.
 * Resolves when the server knows about it. Throws AppError `bad_worker` for an unusable id, version or definition.
 */
export async function serveTools(options: ServeToolsOptions): Promise<Worker> {
  const { bus, subjects, clock, log, id, version = '1.0.0', heartbeatMs = BEAT_MS } = options;
  check(options, version);
  const started = clock.now();
  const large = new LargeResults(id, clock);
  const all = new Room(options.concurrency ?? WORKER_CONCURRENCY);
  const switches = new HeardSwitches(subjects, clock);
  const endpoints = options.tools.map((tool) => {
    const rooms = [new Room(tool.concurrency ?? TOOL_CONCURRENCY), all];
    const { name } = tool.definition;
    const remembered = tool.remember === true ? new Remembered({ bus, subjects, tool: name, worker: id }) : null;
    return new ToolEndpoint({ tool, rooms, large, remembered, switches, clock, log });
  });
  // Those that bring new calls end first; the others serve the calls that still run.
  const calls: Subscription[] = [];
  const others: Subscription[] = [
    switches.listen(bus, () => {
      for (const { tool, running } of endpoints) {
        running.abortWhere((call) => switches.refusal(tool.definition.name, call));
      }
    }),
  ];

  for (const endpoint of endpoints) {
    const { name } = endpoint.tool.definition;
    const service = toolService(name);
    const identity = { id, version, started, heartbeatMs, subject: subjects.toolCall(name) };
    calls.push(bus.serve(identity.subject, (request) => endpoint.answer(request), { queue: service }));
    others.push(
      bus.serve(subjects.toolCancel(name, '*', '*'), async (request) => {
        const [run, c] = request.subject.split('.').slice(-2);
        if (run !== undefined && c !== undefined) endpoint.running.cancel(run, c);
        return null;
      }),
      bus.serve(subjects.toolResult(name, id, '*'), async (request) => large.answer(request)),
    );
    for (const verb of SERVICE_VERBS) {
      const answer = async (): Promise<string> => describeService(verb, endpoint.tool, identity, endpoint.stats);
      for (const subject of serviceSubjects(verb, service, id)) calls.push(bus.serve(subject, answer));
    }
  }
  let nextBeat: Cancel;
  const beat = (): void => {
    nextBeat = clock.after(heartbeatMs, beat);
    for (const { running } of endpoints) running.beat((address, data) => bus.emit(subjects.beat(address), data));
  };
  nextBeat = clock.after(heartbeatMs, beat);
  await bus.flush();
  log.info('worker.start', { id, version, tools: endpoints.map((endpoint) => endpoint.tool.definition.name) });

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all(calls.map((subscription) => subscription.stop()));
    await Promise.all(endpoints.map((endpoint) => endpoint.running.idle()));
    nextBeat();
    await large.idle();
    await Promise.all(others.map((subscription) => subscription.stop()));
    log.info('worker.stop', { id });
  };
  return {
    id,
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Everything that is wrong, in one error: an author corrects it in one go. */
function check({ tools, id, concurrency, heartbeatMs }: ServeToolsOptions, version: string): void {
  const faults: string[] = [];
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) faults.push(`id "${id}": expected 1 to 64 letters, digits, _ or -`);
  if (!/^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/.test(version)) {
    faults.push(`version "${version}": expected a semantic version, such as 1.0.0`);
  }
  if (!isCount(concurrency)) faults.push('concurrency: expected a whole number from 1');
  if (heartbeatMs !== undefined && !HeartbeatMs.safeParse(heartbeatMs).success) {
    faults.push('heartbeatMs: expected 50 to 60000');
  }
  if (tools.length === 0) faults.push('tools: expected at least one');
  const names = new Set<string>();
  for (const tool of tools) {
    const { name } = tool.definition;
    const parsed = ToolDefinition.safeParse(tool.definition);
    const own = [...(tool.faults ?? (parsed.success ? [] : [describeFaults(parsed.error, 'definition').message]))];
    if (!isCount(tool.concurrency)) own.push('concurrency: expected a whole number from 1');
    if (tool.remember === true && !tool.definition.idempotent) own.push('idempotent: expected true with `remember`');
    if (names.has(name)) own.push('the name is offered twice');
    names.add(name);
    faults.push(...own.map((fault) => `tool "${name}": ${fault}`));
  }
  if (faults.length > 0) throw new AppError('bad_worker', faults.join('; '));
}

function isCount(value: number | undefined): boolean {
  return value === undefined || (Number.isInteger(value) && value >= 1);
}
