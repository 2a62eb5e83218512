/**
 * Run and call ids.
 *
 * A run id is `<period>-<source>-<number>`: the period (UTC day, `yyyymmdd`) names the journal stream that holds the
 * run, so no look-up is needed to find it; the rest makes it unique. A call id is `<n>-<i>`: the i-th call of the
 * decision in journal entry n. Both are subject tokens as they stand.
 */

const RUN_ID = /^(\d{8})-[A-Za-z0-9]{1,64}(?:-[A-Za-z0-9]{1,64}){0,2}$/;
const CALL_ID = /^(\d{1,7})-(\d{1,3})$/;

export const MAX_RUN_ID = 160;

/** The journal period (UTC day) that a moment in epoch milliseconds belongs to. */
export function periodOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10).replaceAll('-', '');
}

/**
 * The id of the run that a task message starts: the same for every delivery of that message.
 * @param streamTag tells incarnations of the task stream apart, whose sequences begin anew
 */
export function runIdOfMessage(receivedAt: number, streamTag: string, sequence: number): string {
  return `${periodOf(receivedAt)}-${streamTag}-${sequence.toString(36)}`;
}

/** The id of a run whose task brought a `key`; `hash` is over user and key. */
export function runIdOfKey(receivedAt: number, hash: string): string {
  return `${periodOf(receivedAt)}-k${hash}`;
}

/** The id of a delegated run: the parent's call names it, so that issuing the call again starts nothing new. */
export function runIdOfChild(startedAt: number, hash: string): string {
  return `${periodOf(startedAt)}-d${hash}`;
}

/** The id of a run that continues another; `hash` is over that run and the request. */
export function runIdOfContinuation(startedAt: number, hash: string): string {
  return `${periodOf(startedAt)}-c${hash}`;
}

export function isRunId(text: string): boolean {
  return text.length <= MAX_RUN_ID && RUN_ID.test(text);
}

/** The period inside a run id; throws a RangeError on anything that is not a run id. */
export function periodOfRun(run: string): string {
  const match = RUN_ID.exec(run);
  if (match?.[1] === undefined) throw new RangeError(`not a run id: ${run.slice(0, 80)}`);
  return match[1];
}

export function callId(entry: number, index: number): string {
  return `${entry}-${index}`;
}

export function isCallId(text: string): boolean {
  return CALL_ID.test(text);
}

/** Journal entry and index behind a call id; throws a RangeError on anything else. */
export function parseCallId(c: string): { entry: number; index: number } {
  const match = CALL_ID.exec(c);
  if (match === null) throw new RangeError(`not a call id: ${c.slice(0, 40)}`);
  return { entry: Number(match[1]), index: Number(match[2]) };
}
