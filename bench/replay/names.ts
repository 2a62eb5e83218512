const PLAIN = /^(?!x--)[A-Za-z0-9_-]{1,64}$/;
const LONGEST = 64;

/**
 * Recorded tool names as names that a ToolDefinition takes, and back. A name that is one already stays; any other is
 * written `x--<hex of its UTF-8>`, or, where that is too long, `x--<number>` from a list.
 */
export class ToolNames {
  /** Names that had to be written differently: recorded to ours. */
  readonly mapped = new Map<string, string>();
  private readonly back = new Map<string, string>();

  ours(recorded: string): string {
    if (PLAIN.test(recorded)) return recorded;
    const known = this.mapped.get(recorded);
    if (known !== undefined) return known;
    const hex = `x--${Buffer.from(recorded).toString('hex')}`;
    const name = hex.length <= LONGEST ? hex : `x--n${this.mapped.size}`;
    this.mapped.set(recorded, name);
    this.back.set(name, recorded);
    return name;
  }

  recorded(name: string): string {
    return this.back.get(name) ?? name;
  }
}
