/**
 * The shorthand for trees: `1fA[4] s1(1f1[2] a b) s2:t(dyn) c:m*`. A strategy, `[intensity/period]`, and the children
 * in start order: `:t` transient, `:m` temporary, `*` significant, in brackets what a child that is a supervisor
 * supervises. A period is in seconds unless it ends with `ms`; `[N]` alone has a period of one hour.
 */

export interface TreeShorthand {
  strategy: string;
  intensity?: number;
  periodMs?: number;
  children: ChildShorthand[];
}

export interface ChildShorthand {
  name: string;
  restart: 'permanent' | 'transient' | 'temporary';
  significant: boolean;
  nested: TreeShorthand | null;
}

const STRATEGIES: Record<string, string> = {
  '1f1': 'one_for_one',
  '1fA': 'one_for_all',
  r41: 'rest_for_one',
  dyn: 'dynamic',
};
const HOUR_MS = 3_600_000;

export function parseTree(text: string): TreeShorthand {
  const reader = new Reader(text);
  const tree = readTree(reader);
  reader.end();
  return tree;
}

export function parseChild(text: string): ChildShorthand {
  const reader = new Reader(text);
  const child = readChild(reader);
  reader.end();
  return child;
}

function readTree(reader: Reader): TreeShorthand {
  const short = reader.take(/\w+/y) ?? '';
  const strategy = STRATEGIES[short];
  if (strategy === undefined) throw reader.fault(`expected one of ${Object.keys(STRATEGIES).join(', ')}`);
  const tree: TreeShorthand = { strategy, children: [] };
  const budget = reader.take(/\[[^\]]*\]/y);
  if (budget !== undefined) Object.assign(tree, readBudget(budget, reader));
  for (reader.space(); reader.more(); reader.space()) tree.children.push(readChild(reader));
  return tree;
}

function readBudget(text: string, reader: Reader): { intensity: number; periodMs: number } {
  const match = /^\[(\d+)(?:\/(\d+)(ms|s)?)?\]$/.exec(text);
  if (match === null) throw reader.fault('expected [intensity] or [intensity/period]');
  const [, intensity, period, unit] = match;
  const periodMs = period === undefined ? HOUR_MS : Number(period) * (unit === 'ms' ? 1 : 1_000);
  return { intensity: Number(intensity), periodMs };
}

function readChild(reader: Reader): ChildShorthand {
  const name = reader.take(/\w+/y);
  if (name === undefined) throw reader.fault('expected the name of a child');
  const mark = reader.take(/:[tmp]/y);
  const significant = reader.take(/\*/y) !== undefined;
  const restart = mark === ':t' ? 'transient' : mark === ':m' ? 'temporary' : 'permanent';
  let nested: TreeShorthand | null = null;
  if (reader.take(/\(/y) !== undefined) {
    nested = readTree(reader);
    if (reader.take(/\)/y) === undefined) throw reader.fault('expected ")"');
  }
  return { name, restart, significant, nested };
}

class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text.trim();
  }

  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  space(): void {
    this.take(/[\s,]*/y);
  }

  more(): boolean {
    return this.at < this.text.length && this.text[this.at] !== ')';
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) throw this.fault('expected the end');
  }

  fault(what: string): Error {
    return new Error(`shorthand "${this.text}", character ${this.at + 1}: ${what}`);
  }
}
