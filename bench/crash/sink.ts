import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LocalTool } from '../../src/adapters/toolbox/local-tool.ts';
import type { Json } from '../../src/core/json.ts';
import { ToolDefinition } from '../../src/core/tool.ts';

/**
 * The outside world of the drill: a file to which every effect adds a line, so that effects can be counted whatever
 * dies. The `idem` tools honour the idempotency key (a file named by it can be created once); the `once` tools add a
 * line whenever they are called.
 */

export type SinkKind = 'idem' | 'once';

export interface Effect {
  kind: SinkKind;
  /** The run, from the idempotency key `<run>:<c>`. */
  run: string;
  key: string;
  label: string;
}

/** How long a call stays open after its effect unless its `wait` says otherwise, milliseconds: time to die in. */
const AFTER_MS = 4;

/** `<where>_idem` and `<where>_once`, writing below `dir`. */
export function sinkTools(where: 'local' | 'remote', dir: string): LocalTool[] {
  const keys = join(dir, 'keys');
  mkdirSync(keys, { recursive: true });
  const tool = (kind: SinkKind): LocalTool => ({
    definition: ToolDefinition.parse({
      name: `${where}_${kind}`,
      description: `adds a line to a file, ${kind === 'idem' ? 'once a key' : 'each time'}`,
      parameters: { type: 'object', required: ['label'], properties: { label: { type: 'string' } } },
      idempotent: kind === 'idem',
      timeout_ms: 5_000,
    }),
    async handler(args, { idempotencyKey }): Promise<Json> {
      const label = String(args.label);
      // Synchronous, so that no fault point of this process lies between the key and the effect.
      if (kind === 'once' || createdNow(join(keys, idempotencyKey.replaceAll(/[^A-Za-z0-9-]/g, '_')))) {
        appendFileSync(join(dir, 'effects'), `${JSON.stringify({ kind, key: idempotencyKey, label })}\n`);
      }
      await delay(typeof args.wait === 'number' ? args.wait : AFTER_MS);
      return { label, done: true };
    },
  });
  return [tool('idem'), tool('once')];
}

function createdNow(file: string): boolean {
  try {
    closeSync(openSync(file, 'wx'));
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

export function readEffects(dir: string): Effect[] {
  let text: string;
  try {
    text = readFileSync(join(dir, 'effects'), 'utf8');
  } catch {
    return [];
  }
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const effect = JSON.parse(line) as Omit<Effect, 'run'>;
    return { ...effect, run: effect.key.slice(0, effect.key.indexOf(':')) };
  });
}
