/** What the processes of a replay agree on. */
export interface ReplayProcessOptions {
  url: string;
  data: string;
  limit: number;
  /** Where the worker writes the calls that it saw. */
  seen: string;
  slots: number;
}

export const USER = 'replay';
export const KEY_OF_ROW = (row: number): string => `row-${row}`;
