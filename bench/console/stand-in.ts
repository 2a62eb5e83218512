import { hearParent, say } from '../support/children.ts';
import type { StandIn } from './stand-in-wire.ts';

/** Spends so much CPU time, in short turns, and does nothing by it. */

const TURN_MS = 10;
let share = 0;

hearParent((message) => {
  share = (message as unknown as StandIn).cpuMsPerSecond / 1_000;
  say('spending');
});
setInterval(() => {
  const until = performance.now() + TURN_MS * Math.min(1, share);
  while (performance.now() < until);
}, TURN_MS);
say('up');
