/** What the processes of the drill are told. */
export interface ResultsProcessOptions {
  url: string;
  slots: number;
}

export const PREFIX = 'drill';
export const AGENT = 'collector';
export const TOOL = 'report';
/** Long enough that a result is never late: the drill is about memory. */
export const PATIENCE_MS = 600_000;
