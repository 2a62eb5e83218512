/** Wrong tokens of the last minute: after some, nobody is let in until it has passed. */

const WINDOW_MS = 60_000;
const MOST = 20;

export class Attempts {
  private readonly now: () => number;
  private failures: number[] = [];

  constructor(now: () => number) {
    this.now = now;
  }

  allowed(): boolean {
    this.failures = this.failures.filter((at) => at > this.now() - WINDOW_MS);
    return this.failures.length < MOST;
  }

  failed(): void {
    this.failures.push(this.now());
  }
}
