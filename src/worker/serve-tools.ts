import { AppError } from '../core/errors.ts';
import type { Subjects } from '../core/subjects.ts';
import { ToolDefinition } from '../core/tool.ts';
import { toolService } from '../core/tool-wire.ts';
import type { Bus, Subscription } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
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
}

export interface Worker {
  /** Takes no further calls; resolves when the running ones have ended or passed their deadline. */
  stop(): Promise<void>;
}

/**
 * Offers tools on the bus, each as a NATS service of its own; workers that offer the same tool share its calls.
 * Resolves when the server knows about it. Throws AppError `bad_worker` for an unusable id, version or definition.
 */
export async function serveTools(options: ServeToolsOptions): Promise<Worker> {
  const { bus, subjects, clock, log, id, version = '1.0.0' } = options;
  check(options.tools, id, version);
  const started = clock.now();
  const endpoints = options.tools.map((tool) => new ToolEndpoint(tool, clock, log));
  const subscriptions: Subscription[] = [];

  for (const endpoint of endpoints) {
    const { name } = endpoint.tool.definition;
    const service = toolService(name);
    const identity = { id, version, started, subject: subjects.toolCall(name) };
    subscriptions.push(bus.serve(identity.subject, (request) => endpoint.answer(request), { queue: service }));
    subscriptions.push(
      bus.serve(subjects.toolCancel(name, '*', '*'), async (request) => {
        const [run, c] = request.subject.split('.').slice(-2);
        if (run !== undefined && c !== undefined) endpoint.running.cancel(run, c);
        return null;
      }),
    );
    for (const verb of SERVICE_VERBS) {
      const answer = async (): Promise<string> => describeService(verb, endpoint.tool, identity, endpoint.stats);
      for (const subject of serviceSubjects(verb, service, id)) subscriptions.push(bus.serve(subject, answer));
    }
  }
  await bus.flush();
  log.info('worker.start', { id, version, tools: endpoints.map((endpoint) => endpoint.tool.definition.name) });

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const stopped = Promise.all(subscriptions.map((subscription) => subscription.stop()));
    await Promise.all(endpoints.map((endpoint) => endpoint.running.idle()));
    await stopped;
    log.info('worker.stop', { id });
  };
  return {
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

function check(tools: WorkerTool[], id: string, version: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    throw new AppError('bad_worker', `worker id "${id}": expected 1 to 64 letters, digits, _ or -`, { field: 'id' });
  }
  if (!/^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/.test(version)) {
    throw new AppError('bad_worker', `worker version "${version}": expected a semantic version`, { field: 'version' });
  }
  const names = new Set<string>();
  for (const { definition } of tools) {
    const parsed = ToolDefinition.safeParse(definition);
    if (!parsed.success) throw new AppError('bad_worker', `tool "${definition.name}": ${parsed.error.message}`);
    if (names.has(definition.name)) throw new AppError('bad_worker', `tool "${definition.name}" is offered twice`);
    names.add(definition.name);
  }
}
