/** Figures and moments as people read them. */

export function span(ms: number): string {
  const abs = Math.abs(ms);
  if (abs < 1_000) return `${Math.round(abs)} ms`;
  if (abs < 10_000) return `${(abs / 1_000).toFixed(1)} s`;
  if (abs < 60_000) return `${Math.round(abs / 1_000)} s`;
  if (abs < 3_600_000) return `${Math.floor(abs / 60_000)} min ${Math.floor((abs % 60_000) / 1_000)} s`;
  if (abs < 86_400_000) return `${Math.floor(abs / 3_600_000)} h ${Math.floor((abs % 3_600_000) / 60_000)} min`;
  return `${Math.floor(abs / 86_400_000)} d ${Math.floor((abs % 86_400_000) / 3_600_000)} h`;
}

/** As `span`, in whole units and short: for ages in lists. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

export function exact(at: number): string {
  return new Date(at).toISOString().replace('T', ' ').replace('Z', ' UTC');
}

export function clock(at: number): string {
  return new Date(at).toLocaleTimeString(undefined, { hour12: false });
}

export function usd(amount: number): string {
  if (amount === 0) return '$0';
  return `$${amount < 0.01 ? amount.toFixed(5) : amount < 1 ? amount.toFixed(3) : amount.toFixed(2)}`;
}

const NUMBERS = new Intl.NumberFormat('en-US');

export function count(n: number): string {
  return NUMBERS.format(n);
}

/** `1 run`, `1,204 runs`. */
export function several(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? '' : 's'}`;
}

/** The end of a run id: what tells it from its neighbours. */
export function shortId(run: string): string {
  const parts = run.split('-');
  return parts.length < 3 ? run : `${parts[1]?.slice(0, 6)}-${parts.slice(2).join('-')}`;
}

export function topOf(state: string): string {
  const top = state.split('.')[0] ?? state;
  return top === 'rejected' ? 'failed' : top;
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? '');
}

const ASKED: Record<string, string> = {
  answer: 'asks a person',
  release: 'its journal cannot be read on: an operator decides',
};

/** What a person is wanted for, in a line; the status says it for the command line. */
export function asked({ requires }: { requires: { kind: string; text: string } | null }): string {
  return requires === null ? '' : (ASKED[requires.kind] ?? requires.text.split(': proctor')[0] ?? '');
}
