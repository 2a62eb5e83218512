import { createInterface } from 'node:readline/promises';
import { fromEnvironment } from './environment.ts';

/** Everything a command says goes through here: results to stdout, everything else to stderr. */
export interface Io {
  out(line: string): void;
  err(line: string): void;
  /** Whether a person reads stdout: tables and colours. */
  readonly outIsTty: boolean;
  readonly errIsTty: boolean;
  readonly colours: boolean;
  /** Asks the person at the terminal; absent where nobody sits at one. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
}

export const processIo: Io = {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  get outIsTty() {
    return process.stdout.isTTY === true;
  },
  get errIsTty() {
    return process.stderr.isTTY === true;
  },
  get colours() {
    return (
      process.stdout.isTTY === true && fromEnvironment('NO_COLOR') === undefined && fromEnvironment('TERM') !== 'dumb'
    );
  },
  get ask() {
    return process.stdin.isTTY === true && process.stderr.isTTY === true ? askAtTerminal : undefined;
  },
};

async function askAtTerminal(question: string): Promise<string> {
  const asked = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await asked.question(question);
  } finally {
    asked.close();
  }
}

/** How this program was called, for lines that are meant to be copied. */
export function selfCommand(): string {
  const script = process.argv[1] ?? 'proctor';
  if (/(?:^|[\\/])proctor$/.test(script)) return 'proctor';
  const below = `${process.cwd()}/`;
  return `node ${quoteArg(script.startsWith(below) ? script.slice(below.length) : script)}`;
}

/** An argument as a POSIX shell reads it back. */
export function quoteArg(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
