import type { Input } from '../state.ts';

/** What a supervisor hears, one after another: a word that comes while one is dealt with waits for its turn. */
export class Inbox {
  private readonly waiting: Input[] = [];
  private readonly deal: (input: Input) => void;
  private dealing = false;
  private held: Input[] | null = null;

  constructor(deal: (input: Input) => void) {
    this.deal = deal;
  }

  get isDealing(): boolean {
    return this.dealing;
  }

  put(input: Input): void {
    // Nothing holds up a kill.
    if (this.held !== null && input.type !== 'kill') {
      this.held.push(input);
      return;
    }
    this.waiting.push(input);
    if (this.dealing) return;
    this.dealing = true;
    try {
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) this.deal(next);
    } finally {
      this.dealing = false;
    }
  }

  suspend(): void {
    this.held ??= [];
  }

  resume(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const input of held) this.put(input);
  }
}
