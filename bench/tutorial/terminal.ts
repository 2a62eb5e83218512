import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A terminal as somebody keeps it open beside others: what one block sets, the next one in the same terminal finds. What
 * goes on running is left alone until the end, and then interrupted like with Ctrl-C.
 */

/** How long a block may take, milliseconds; the first one installs everything. */
const PATIENCE_MS = 300_000;
const STOP_MS = 60_000;

export class Terminal {
  readonly #cwd: string;
  readonly #state = mkdtempSync(join(tmpdir(), 'proctor-terminal-'));
  #running: { child: ChildProcess; ended: Promise<number | null> } | null = null;
  /** What the last block said, both streams as they came. */
  output = '';

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  /** Types a block and waits for it, or for `until` in what it says. Throws Error with all that was said. */
  async type(text: string, until: string | null): Promise<void> {
    await this.stop();
    const state = join(this.#state, 'env');
    // Ctrl-C ends what runs in a terminal, not its shell: that one still has to note what was set.
    const script = `trap : INT; set -a; [ -f ${state} ] && source ${state}; cd "\${PWD_OF_TUTORIAL:-${this.#cwd}}"
${text}
code=$?; PWD_OF_TUTORIAL=$PWD; declare -px | grep -v '^declare -[a-z]*r' > ${state}; exit $code`;
    this.output = '';
    const child = spawn('bash', ['-c', script], { cwd: this.#cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    let heard: () => void = () => {};
    const said = new Promise<void>((resolve) => {
      heard = resolve;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.output += chunk;
        if (until !== null && this.output.includes(until)) heard();
      });
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), PATIENCE_MS);
    });
    const outcome = await Promise.race([ended, said, late]);
    clearTimeout(timer);
    if (outcome === 'late') {
      kill(child, 'SIGKILL');
      throw new Error(`did not end within ${PATIENCE_MS / 1_000} s:\n${text}\n\n${this.output}`);
    }
    if (outcome === undefined) {
      this.#running = { child, ended };
      return;
    }
    if (until !== null) throw new Error(`ended (${outcome}) without saying "${until}":\n${text}\n\n${this.output}`);
    if (outcome !== 0) throw new Error(`failed with exit code ${outcome}:\n${text}\n\n${this.output}`);
  }

  /** Interrupts what goes on running, if anything does. Throws Error when it does not end. */
  async stop(): Promise<void> {
    if (this.#running === null) return;
    const { child, ended } = this.#running;
    this.#running = null;
    kill(child, 'SIGINT');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), STOP_MS);
    });
    const outcome = await Promise.race([ended, late]);
    clearTimeout(timer);
    if (outcome !== 'late') return;
    kill(child, 'SIGKILL');
    throw new Error(`did not stop within ${STOP_MS / 1_000} s of Ctrl-C:\n${this.output}`);
  }

  async close(): Promise<void> {
    try {
      await this.stop();
    } finally {
      rmSync(this.#state, { recursive: true, force: true });
    }
  }
}

/** All that the block started. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Ended in this moment.
  }
}
