import { closeSync, openSync, writeSync } from 'node:fs';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { readRows } from '../support/rows.ts';
import { ToolNames } from './names.ts';
import { KEY_OF_ROW, type ReplayProcessOptions, USER } from './wire.ts';

/**
 * Serves every recorded tool and answers the i-th call of a run with the i-th recorded result. Which recording a run is
 * follows from its id, made of its task's key. What came in is written down for the comparison.
 */

const { url, data, limit, seen } = childOptions<ReplayProcessOptions>();
const subjects = new Subjects('drill');
const rows = readRows(data, limit);
const rowOfHash = new Map(rows.map((_, row) => [cryptoIds.hash(USER, KEY_OF_ROW(row)), row]));
/** The calls that came for each row, by idempotency key: one that comes twice is the same call. */
const calls = new Map<number, string[]>();
const file = openSync(seen, 'w');
let lines: string[] = [];

const names = new ToolNames();
const tools = [...new Set(rows.flatMap((row) => row.steps.map((step) => names.ours(step.tool))))];
const bus = await connectBus({ url }, 'replay-worker', subjects, silent);
await serveTools({
  bus,
  subjects,
  clock: systemClock(),
  log: silent,
  id: 'replay',
  concurrency: 1_000,
  tools: tools.map((name) => ({
    concurrency: 1_000,
    definition: ToolDefinition.parse({
      name,
      description: 'answers as recorded',
      parameters: { type: 'object' },
      idempotent: true,
    }),
    handler: (args, { idempotencyKey }) => {
      const hash = /^\d{8}-k([0-9a-f]{32}):/.exec(idempotencyKey)?.[1] ?? '';
      const row = rowOfHash.get(hash) ?? -1;
      const known = calls.get(row) ?? [];
      calls.set(row, known);
      let index = known.indexOf(idempotencyKey);
      if (index < 0) index = known.push(idempotencyKey) - 1;
      lines.push(`${JSON.stringify({ row, index, tool: name, args })}\n`);
      if (lines.length >= 500) flush();
      return rows[row]?.steps[index]?.result ?? null;
    },
  })),
});
hearParent((message) => {
  if (message.done !== true) return;
  flush();
  closeSync(file);
  say('written');
});
say('up');

function flush(): void {
  if (lines.length > 0) writeSync(file, lines.join(''));
  lines = [];
}
