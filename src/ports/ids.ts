/** Chance as an input: random ids and numbers, and names that follow from a text. */
export interface Ids {
  /** 16 letters and digits, unique. */
  random(): string;
  /** A number in [0, 1). */
  fraction(): number;
  /** 32 lower-case hex digits that follow from the parts; no two different lists of parts share a form. */
  hash(...parts: string[]): string;
}
