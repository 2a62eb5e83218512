import { HEARTBEAT_KEY } from '../core/beat-wire.ts';
import type { AppError } from '../core/errors.ts';
import { DEFINITION_KEY, toolService } from '../core/tool-wire.ts';
import type { WorkerTool } from './worker-tool.ts';

/**
 * What a NATS micro service says about itself (ADR-32): one service a tool, so that each tool has a queue group, a
 * definition and figures of its own in `nats micro ls`, `info` and `stats`.
 */

export interface ServiceIdentity {
  /** Worker instance, a subject token. */
  id: string;
  /** Semantic version of the worker. */
  version: string;
  /** Where its calls arrive. */
  subject: string;
  /** Epoch milliseconds. */
  started: number;
  /** How often it shows that a call is in work, milliseconds. */
  heartbeatMs: number;
}

export const SERVICE_VERBS = ['PING', 'INFO', 'STATS'] as const;
export type ServiceVerb = (typeof SERVICE_VERBS)[number];

const ENDPOINT = 'call';

/** The subjects of one verb: asked of all services, of this name, and of this instance. */
export function serviceSubjects(verb: ServiceVerb, name: string, id: string): string[] {
  return [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${id}`];
}

/** The answer to a verb, as JSON text. */
export function describeService(
  verb: ServiceVerb,
  tool: WorkerTool,
  identity: ServiceIdentity,
  stats: EndpointStats,
): string {
  const name = toolService(tool.definition.name);
  const metadata = {
    [DEFINITION_KEY]: JSON.stringify(tool.definition),
    [HEARTBEAT_KEY]: String(identity.heartbeatMs),
  };
  const common = { name, id: identity.id, version: identity.version, metadata };
  const endpoint = { name: ENDPOINT, subject: identity.subject, queue_group: name };
  switch (verb) {
    case 'PING':
      return JSON.stringify({ type: 'io.nats.micro.v1.ping_response', ...common });
    case 'INFO':
      return JSON.stringify({
        type: 'io.nats.micro.v1.info_response',
        ...common,
        description: tool.definition.description,
        endpoints: [{ ...endpoint, metadata: {} }],
      });
    case 'STATS':
      return JSON.stringify({
        type: 'io.nats.micro.v1.stats_response',
        ...common,
        started: new Date(identity.started).toISOString(),
        endpoints: [{ ...endpoint, ...stats.figures() }],
      });
  }
}

const NS_PER_MS = 1_000_000;

/** Figures of one endpoint since the worker started. */
export class EndpointStats {
  #requests = 0;
  #errors = 0;
  #lastError = '';
  #ms = 0;

  answered(ms: number): void {
    this.#requests++;
    this.#ms += Math.max(0, ms);
  }

  failed(error: AppError): void {
    this.#errors++;
    this.#lastError = `${error.code}: ${error.message}`;
  }

  /** Of all requests so far, milliseconds; 0 before the first. */
  get averageMs(): number {
    return this.#requests === 0 ? 0 : this.#ms / this.#requests;
  }

  figures(): Record<string, number | string> {
    return {
      num_requests: this.#requests,
      num_errors: this.#errors,
      last_error: this.#lastError,
      processing_time: this.#ms * NS_PER_MS,
      average_processing_time: Math.round(this.averageMs * NS_PER_MS),
    };
  }
}
