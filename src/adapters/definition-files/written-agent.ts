/** An agent as its file has it, not yet checked. */
export interface WrittenAgent {
  value: unknown;
  /** The line in which a field stands, or what is nearest to it; null when the file does not tell. */
  line(path: PropertyKey[]): number | null;
}

/** The agents of a value that is one, or a list of them. */
export function agentsIn(value: unknown): WrittenAgent[] {
  const all = Array.isArray(value) ? value : [value];
  return all.map((one: unknown) => ({ value: one, line: () => null }));
}
