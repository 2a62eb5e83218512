import type { Cancel } from './clock.ts';

/** Structured log (OBS-1): `event` is a stable name such as `agent.start`; fields are redacted by the adapter. */
export interface Log {
  debug(event: string, fields?: Record<string, unknown>): void;
  info(event: string, fields?: Record<string, unknown>): void;
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
  child(fields: Record<string, unknown>): Log;
  /** Whether lines of this level are wanted at all; a log without it wants all. */
  enabled?(level: 'warn' | 'error'): boolean;
}

/** What a node tells the world about its runs beside the log. Either half is null when nobody asked for it. */
export interface Telemetry {
  readonly tracing: Tracing | null;
  readonly metrics: Metrics | null;
}

export type Attributes = Record<string, string | number | boolean>;

export interface SpanEvent {
  name: string;
  /** Epoch milliseconds. */
  at: number;
  attributes: Attributes;
}

/** Where a span stands. Its ids follow from the run, so any node can name a span that another one will report. */
export interface SpanPlace {
  name: string;
  /** 32 lower-case hex digits. */
  trace: string;
  /** 16 lower-case hex digits. */
  span: string;
  /** The span above; null at the top of a trace. */
  parent: string | null;
  /** Epoch milliseconds. */
  start: number;
  attributes: Attributes;
}

/** A span that is over. Texts in it are redacted by whoever makes it. */
export interface FinishedSpan extends SpanPlace {
  /** `client` for work that another process does. */
  kind: 'internal' | 'client';
  end: number;
  events: SpanEvent[];
  /** Why it failed; `type` is one of a bounded set of codes. */
  error?: { type: string; message: string };
}

export interface Tracing {
  /**
   * Whether this trace is recorded: the sampler's word, the same on every node.
   * @param parentSampled what the submitter's trace said; null when the run begins a trace of its own
   */
  sampled(root: SpanPlace, parentSampled: boolean | null): boolean;
  report(span: FinishedSpan): void;
}

/** Where the time of a run goes. */
export type TimePart = 'queued' | 'planning' | 'model' | 'tools' | 'waiting' | 'recovery' | 'overhead';

/** Figures; every label is a name from a definition or a code, never an id. Times are seconds. */
export interface Metrics {
  task(labels: { agent: string; status: 'accepted' | 'rejected' }): void;
  /** A node took a run: for the first time, after it was let go on purpose, or after its owner died or crashed. */
  claimed(labels: { agent: string; why: 'first' | 'resumed' | 'restart' }): void;
  step(labels: { agent: string; tool: string; status: string }, seconds: number): void;
  model(
    labels: { agent: string; model: string; status: string },
    figures: { seconds: number; input_tokens: number; output_tokens: number; cost_usd: number },
  ): void;
  /** @param code of the failure, when it was one */
  tool(labels: { agent: string; tool: string; status: string }, seconds: number, code?: string): void;
  /** A result was looked for in this node's cache; and an answer to fall back on. */
  toolCache(labels: { tool: string; outcome: 'hit' | 'miss' }): void;
  answerCache(labels: { agent: string; outcome: 'hit' | 'miss' }): void;
  time(labels: { agent: string; part: TimePart }, seconds: number): void;
  run(labels: { agent: string; outcome: string; reason: string }, seconds: number): void;
  /** Figures that are read when somebody collects. */
  observe(read: () => Promise<NodeFigures>): Cancel;
}

export interface NodeFigures {
  agents: {
    agent: string;
    /** Runs in work on this node. */
    active: number;
    /** Runs that no node has taken yet, and for how long the first of them has waited; null while nobody can say. */
    queue: { depth: number; oldest_seconds: number } | null;
  }[];
}
