/** Ids as an input: random ones, and names that follow from a text. */
export interface Ids {
  /** 16 letters and digits, unique. */
  random(): string;
  /** 32 lower-case hex digits that follow from the parts; no two different lists of parts share a form. */
  hash(...parts: string[]): string;
}
