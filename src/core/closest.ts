/** The names that differ least from a word, the closest first; at most `max`. For messages about a name that is not there. */
export function closest(word: string, names: Iterable<string>, max: number): string[] {
  const wanted = word.slice(0, LOOKED_AT).toLowerCase();
  return [...names]
    .map((name) => ({ name, apart: distance(wanted, name.slice(0, LOOKED_AT).toLowerCase()) }))
    .sort((a, b) => a.apart - b.apart || (a.name < b.name ? -1 : 1))
    .slice(0, max)
    .map(({ name }) => name);
}

/** The name that somebody who wrote this word most likely meant; undefined when none is near enough. */
export function likely(word: string, names: Iterable<string>): string | undefined {
  const [best] = closest(word, names, 1);
  if (best === undefined) return undefined;
  const apart = distance(word.slice(0, LOOKED_AT).toLowerCase(), best.toLowerCase());
  return apart <= Math.max(2, Math.floor(best.length / 3)) && apart < best.length ? best : undefined;
}

/** Characters of a name that are compared: whoever sends a long one must not make us work for it. */
const LOOKED_AT = 64;

/** Insertions, deletions and replacements that make one text of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
