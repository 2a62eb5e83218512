import { hearParent, say } from '../support/children.ts';
import type { StandIn } from './stand-in-wire.ts';

/**
 * Spends so much CPU time, in short turns, and does nothing by it: it makes texts and reads them, as those do that it stands
 * for. A loop that needs no memory would leave its caches to the other core.
 */

const TURN_MS = 10;
const VALUE = Array.from({ length: 64 }, (_, n) => ({ n, state: 'executing.calling', text: 'x'.repeat(200 + n) }));
let share = 0;

hearParent((message) => {
  share = (message as unknown as StandIn).cpuMsPerSecond / 1_000;
  say('spending');
});
setInterval(() => {
  const until = performance.now() + TURN_MS * Math.min(1, share);
  while (performance.now() < until) JSON.parse(JSON.stringify(VALUE));
}, TURN_MS);
say('up');
