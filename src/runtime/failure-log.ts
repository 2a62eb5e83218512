import { LRUCache } from 'lru-cache';
import type { AppError } from '../core/errors.ts';
import type { NodeDeps } from './deps.ts';

/** How often the same failure is logged, milliseconds. */
const TELL_AGAIN_MS = 60_000;

/** Logs what comes back every few seconds, such as a journal that cannot be read, once a minute. */
export class FailureLog {
  private readonly deps: Pick<NodeDeps, 'log' | 'clock'>;
  private readonly event: string;
  private readonly told = new LRUCache<string, number>({ max: 10_000 });

  constructor(deps: Pick<NodeDeps, 'log' | 'clock'>, event: string) {
    this.deps = deps;
    this.event = event;
  }

  tell(subject: string, { code, message }: AppError): void {
    const key = `${subject} ${code}`;
    const now = this.deps.clock.now();
    const last = this.told.get(key);
    if (last !== undefined && now - last < TELL_AGAIN_MS) return;
    this.told.set(key, now);
    this.deps.log.error(this.event, { subject: subject.slice(0, 300), code, message });
  }
}
