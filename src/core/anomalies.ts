import { z } from 'zod';

/** What a run has used beyond the usual (SUP-5). It warns; limits stop. */
export const AnomalyCode = z.enum(['HIGH_COST', 'HIGH_TOKEN_USAGE', 'TOOL_CALL_SURGE', 'COST_OUTLIER']);
export type AnomalyCode = z.infer<typeof AnomalyCode>;

/** Beside a step: what the run had used with it, and what it takes to be said. */
export const Anomaly = z.strictObject({ code: AnomalyCode, value: z.number(), over: z.number() });
export type Anomaly = z.infer<typeof Anomaly>;

export const Anomalies = z.array(Anomaly).min(1).max(AnomalyCode.options.length);

/** What it takes for each to be said: more than this, and of calls that many. */
export const AnomalySettings = z.strictObject({
  /** USD that the run has spent. */
  cost_usd: z.number().min(0).max(1_000_000).default(0.5),
  /** Tokens that it has used. */
  tokens: z.int().min(0).max(1_000_000_000).default(50_000),
  /** Tools that it has called: said from this number on. */
  tool_calls: z.int().min(0).max(1_000_000).default(80),
  /** Times that it may cost what the last completed runs of its agent cost in the middle. */
  cost_times: z.number().min(1).max(1_000_000).default(3),
});
export type AnomalySettings = z.infer<typeof AnomalySettings>;

export const DEFAULT_ANOMALY_SETTINGS: AnomalySettings = AnomalySettings.parse({});
