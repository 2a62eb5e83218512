import { stripVTControlCharacters } from 'node:util';
import type { Io } from './io.ts';

/**
 * A last line that changes in place on a terminal, redrawn each second; what is told above it stays. Elsewhere there is
 * no such line, and what is told is simply told.
 */

const EVERY_MS = 1_000;
const CLEAR = '\r\u001b[2K';

export class LiveLine {
  private readonly io: Io | null;
  private text: (() => string) | null = null;
  private timer: NodeJS.Timeout | undefined;

  /** @param io null: nothing is told at all */
  constructor(io: Io | null) {
    this.io = io;
  }

  get isLive(): boolean {
    return this.io?.outIsTty === true;
  }

  /** @param text made anew each time it is drawn */
  show(text: () => string): void {
    if (!this.isLive) return;
    this.text = text;
    this.timer ??= setInterval(() => this.draw(), EVERY_MS).unref();
    this.draw();
  }

  above(text: string): void {
    if (this.isLive) process.stdout.write(CLEAR);
    this.io?.out(text);
    this.draw();
  }

  clear(): void {
    clearInterval(this.timer);
    if (this.isLive && this.text !== null) process.stdout.write(CLEAR);
    this.text = null;
  }

  private draw(): void {
    if (this.text === null) return;
    const { columns } = process.stdout;
    const room = (columns > 0 ? columns : 80) - 1;
    const text = this.text();
    const plain = stripVTControlCharacters(text);
    process.stdout.write(`${CLEAR}${plain.length > room ? plain.slice(0, room) : text}`);
  }
}
