import type { Blocked } from '../../ports/watchdog.ts';
import type { Shared } from './marks.ts';

/** What the watcher tells: it knows no clock but the one that measures. */
export type Found = Omit<Blocked, 'at'>;

export interface WatcherData extends Shared {
  whoBytes: number;
  whatBytes: number;
  at: { BEAT: number; MARK: number; DEBUGGED: number };
  node: string;
  pid: number;
  everyMs: number;
  warnMs: number;
  exitMs: number;
  exitCode: number;
  /** Which lines are wanted. */
  says: { warn: boolean; error: boolean };
}

/**
 * The thread beside the main one. It is handed over as text, so that it starts the same from sources and from the built
 * package: nothing outside the function may be used in it but types.
 */
export function watcher(require: NodeJS.Require): void {
  const { writeSync } = require('node:fs') as typeof import('node:fs');
  const { Session } = require('node:inspector') as typeof import('node:inspector');
  const { parentPort, workerData } = require('node:worker_threads') as typeof import('node:worker_threads');
  const data = workerData as WatcherData;
  const { numbers, busy, texts, whoBytes, whatBytes, at, node, everyMs, warnMs, exitMs } = data;
  /** How long the main thread has to answer before it counts as being in native code, milliseconds. */
  const ANSWER_MS = 250;
  /** How long it has to end by itself, milliseconds. */
  const END_MS = 2_000;
  const FRAMES = 8;
  const MOST_MAYBE = 20;

  let seen = -1;
  let stood = 0;
  let looked = performance.now();
  let found: Found | null = null;
  let ending = false;

  const decoder = new TextDecoder();
  /** Texts that end in a null each, and what was there before. */
  const textsAt = (from: number, room: number): string[] => decoder.decode(texts.slice(from, from + room)).split('\0');

  const whoAt = (place: number): { run_id: string; agent: string } => {
    const [run_id = '', agent = ''] = textsAt(place * (whoBytes + whatBytes), whoBytes);
    return { run_id, agent };
  };
  const whatAt = (place: number): string => textsAt(place * (whoBytes + whatBytes) + whoBytes, whatBytes)[0] ?? '';

  /** What the main thread wrote down last. */
  const noted = (): Partial<Found> => {
    const mark = Atomics.load(numbers, at.MARK);
    const doing = ['', 'fold', 'validate'][mark % 8];
    const place = Math.floor(mark / 8) - 1;
    if (mark !== 0) {
      if (place < 0) return doing === undefined ? {} : { doing };
      return { ...whoAt(place), doing: doing ?? whatAt(place) };
    }
    const open: number[] = [];
    for (let i = 0; i < busy.length; i++) if ((busy[i] ?? 0) > 0) open.push(i);
    const [only] = open;
    if (only !== undefined && open.length === 1) return { ...whoAt(only), doing: whatAt(only) };
    return open.length === 0 ? {} : { maybe: open.slice(0, MOST_MAYBE).map((one) => whoAt(one).run_id) };
  };

  const say = (level: number, msg: string, fields: object): void => {
    if (level === 40 ? !data.says.warn : !data.says.error) return;
    try {
      writeSync(2, `${JSON.stringify({ level, time: Date.now(), node, ...fields, msg })}\n`);
    } catch {
      // Nobody can be told now; the main thread tells it when it goes on.
    }
  };

  /** Runs code in the main thread, in the middle of whatever it does; null when it does not get there. */
  const ask = (expression: string, ms: number, answered: (value: unknown) => void): void => {
    const session = new Session();
    let open = true;
    const close = (value: unknown): void => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      session.disconnect();
      answered(value);
    };
    const timer = setTimeout(() => close(null), ms);
    session.connectToMainThread();
    session.post('Runtime.evaluate', { expression, returnByValue: true }, (error, answer) =>
      close(error === null ? answer.result.value : null),
    );
  };

  const LOOK = `(() => {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = ${FRAMES * 4};
    const { stack } = new Error();
    Error.stackTraceLimit = stackTraceLimit;
    return { stack: String(stack).slice(0, 8000), behalf: globalThis[Symbol.for('proctor.behalf')]?.() };
  })()`;

  const frames = (stack: string): string[] =>
    stack
      .split('\n')
      .flatMap((line) => /^ {4}at (.+)$/.exec(line)?.[1]?.slice(0, 300) ?? [])
      // The first two are the question itself.
      .slice(2)
      .filter((frame) => !frame.includes('(node:internal/'))
      .slice(0, FRAMES);

  const look = (): void => {
    const blocked: Found = { ms: Math.round(stood), ...noted() };
    found = blocked;
    const tell = (): void => {
      const until = exitMs > 0 ? `; the process ends when that lasts ${exitMs} ms` : '';
      say(40, 'node.blocked', { ...blocked, consequence: `no run of this node goes on${until}` });
    };
    // Who debugs has stopped it on purpose, and a second question would disturb.
    if (Atomics.load(numbers, at.DEBUGGED) === 1) {
      tell();
      return;
    }
    const beat = Atomics.load(numbers, at.BEAT);
    ask(LOOK, ANSWER_MS, (value) => {
      // What came free meanwhile is asked too late.
      if (value !== null && Atomics.load(numbers, at.BEAT) === beat) {
        const { stack, behalf } = value as { stack: string; behalf?: { run_id: string; agent: string; doing: string } };
        blocked.stack = frames(stack);
        if (behalf !== undefined && blocked.doing !== 'fold' && blocked.doing !== 'validate') {
          delete blocked.maybe;
          Object.assign(blocked, behalf);
        }
      }
      tell();
    });
  };

  const end = (): void => {
    ending = true;
    const ms = Math.round(stood);
    const consequence = `the process ends now, exit code ${data.exitCode}: its runs go on at other nodes; let it be started again`;
    say(50, 'node.blocked_for_good', { ...found, ms, limit_ms: exitMs, consequence });
    ask(`process.reallyExit(${data.exitCode})`, END_MS, () => {
      // Native code does not come back to be ended in good order.
      process.kill(data.pid, 'SIGKILL');
    });
  };

  const tick = (): void => {
    const now = performance.now();
    // Time in which this thread stood as well, as in a process that is stopped, counts for nothing.
    stood += Math.min(now - looked, 2 * everyMs);
    looked = now;
    const beat = Atomics.load(numbers, at.BEAT);
    if (beat !== seen) {
      seen = beat;
      if (found !== null) parentPort?.postMessage({ ...found, ms: Math.round(stood) } satisfies Found);
      found = null;
      stood = 0;
      return;
    }
    if (found === null && stood >= warnMs) look();
    if (exitMs > 0 && stood >= exitMs && !ending && Atomics.load(numbers, at.DEBUGGED) === 0) end();
  };
  setInterval(tick, everyMs);
}
