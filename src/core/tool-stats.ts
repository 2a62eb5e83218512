import { z } from 'zod';
import type { ToolWorker } from './cluster-wire.ts';
import { clip } from './errors.ts';
import { redactText } from './redact.ts';
import { ToolDefinition } from './tool.ts';
import { DEFINITION_KEY } from './tool-wire.ts';

/** What a worker says about itself to `$SRV.STATS` (ADR-32); times in nanoseconds. */
const ServiceStats = z.object({
  id: z.string().max(128),
  version: z.string().max(64),
  started: z.string().max(64).default(''),
  metadata: z.record(z.string(), z.string()),
  endpoints: z
    .array(
      z.object({
        num_requests: z.int().min(0).default(0),
        num_errors: z.int().min(0).default(0),
        last_error: z.string().default(''),
        average_processing_time: z.number().min(0).default(0),
      }),
    )
    .min(1),
});

const NANOS = 1_000_000;

/** Tool and worker in an answer to `$SRV.STATS`; null for a service that is no tool of Proctor's. */
export function parseToolStats(data: string): { definition: ToolDefinition; worker: ToolWorker } | null {
  try {
    const stats = ServiceStats.parse(JSON.parse(data));
    const definition = ToolDefinition.parse(JSON.parse(stats.metadata[DEFINITION_KEY] ?? ''));
    const [endpoint] = stats.endpoints;
    if (endpoint === undefined) return null;
    return {
      definition,
      worker: {
        id: stats.id,
        version: stats.version,
        started: stats.started,
        calls: endpoint.num_requests,
        errors: endpoint.num_errors,
        average_ms: endpoint.average_processing_time / NANOS,
        last_error: clip(redactText(endpoint.last_error), 500),
      },
    };
  } catch {
    return null;
  }
}
