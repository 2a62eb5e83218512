import type { ExitReason } from '../../supervisors/exit-reason.ts';
import type { Reply, Request } from '../../supervisors/requests.ts';
import type { FixtureChild, FixtureTree } from './fixture.ts';
import type { Recorder } from './recorder.ts';

/** What starting the supervisor at the top came to. */
export type StartResult = { type: 'ok' } | { type: 'ignore' } | { type: 'error'; code: string; message: string };

/** Where a case takes place: the decision core with simulated children, or the assembled tree of actors. */
export interface World {
  readonly recorder: Recorder;
  now(): number;
  /** The result is there once the world is at rest. */
  start(): void;
  startResult(): StartResult | null;
  /** What a supervisor specified by this untrusted value answers to its start. */
  trySpec(spec: unknown): Promise<StartResult>;
  stop(from: string, reason: ExitReason): void;
  kill(): void;
  die(name: string, reason: ExitReason): void;
  /** The exit of an old incarnation is heard once more. */
  exitAgain(name: string, incarnation: number, reason: ExitReason): void;
  /** An incarnation says something that only counts while it does. */
  speak(name: string, incarnation: number): void;
  detach(name: string): void;
  send(at: string, id: string): void;
  call(at: string, request: Request, replied: (reply: Reply) => void): void;
  specOf(child: FixtureChild): unknown;
  treeOf(tree: FixtureTree): unknown;
  suspend(at: string): void;
  resume(at: string): void;
  /** Lets everything happen that takes no time, with at most `retries` retries that are due at once. */
  rest(retries: number): Promise<void>;
  advance(ms: number, retries: number): Promise<void>;
  /** The input that the child's last start was given. */
  lastInput(name: string): unknown;
  /** Whether the supervisor still holds what a start of this child needs; null without a record. */
  keepsStart(at: string, id: string): boolean | null;
  /** What is wrong with the real children, if anything; checked whenever the world rests. */
  audit(): string | null;
  close(): Promise<void>;
}

/** More retries in one rest than any case means. */
export const MOST_RETRIES = 100_000;
