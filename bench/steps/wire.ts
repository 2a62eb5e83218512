/** What the processes of the step benchmark agree on. */
export interface StepProcessOptions {
  url: string;
  prefix: string;
  slots: number;
  /** Tool steps a run. */
  steps: number;
  /** Where the tool lives. */
  tool: 'local' | 'worker';
  /** Send traces and figures as the OTEL_ variables say. */
  telemetry?: boolean;
  /** Put the whole policy of the benchmark into force; and let the model have a price. */
  policy?: boolean;
  priced?: boolean;
  /** Write logs as a node does, into a file that nobody reads. */
  logLevel?: 'info' | 'debug';
}

export const TOOL = 'lookup';
export const TOOL_BYTES = 200;
/** What a tool call answers. */
export const RESULT = 'r'.padEnd(TOOL_BYTES, 'x');
export const AGENT = 'bench';
