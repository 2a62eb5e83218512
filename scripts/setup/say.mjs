/** What a person must know or do; shown without a stack. */
export class SetupError extends Error {}

/** One line about what is being done, on stderr: stdout belongs to the program. */
export function say(text) {
  process.stderr.write(`proctor: ${text}\n`);
}
