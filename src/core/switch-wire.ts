import { z } from 'zod';
import { clip } from './errors.ts';
import { SwitchScope } from './switch-scope.ts';

/**
 * Switches as they are stored and answered. An order is a message on `switch.<scope>`: the last one on a subject is in
 * force, and the stream keeps them all. The sequence of an order is its revision. Version 1.
 */

export const SWITCH_MODES = ['kill', 'pause', 'drain'] as const;
export const SwitchMode = z.enum(SWITCH_MODES);
export type SwitchMode = z.infer<typeof SwitchMode>;

/** The body of an order. Who and why are bounded, and never a reason to refuse it. */
export const SwitchOrder = z.object({
  v: z.literal(1).default(1),
  mode: z.enum([...SWITCH_MODES, 'revive']),
  by: z.string().min(1).max(128).catch('unknown'),
  why: z.string().max(1024).catch(''),
});
export type SwitchOrder = z.infer<typeof SwitchOrder>;

/**
 * The order in a message. In an emergency one word does: `kill`, `pause`, `drain`. Whatever else cannot be read is a
 * kill: somebody wanted to stop something.
 */
export function readSwitchOrder(data: string): SwitchOrder {
  const text = data.trim();
  const word = SwitchMode.safeParse(text);
  if (word.success) return { v: 1, mode: word.data, by: 'unknown', why: '' };
  try {
    const order = SwitchOrder.safeParse(JSON.parse(text));
    if (order.success) return order.data;
  } catch {
    // Told below.
  }
  return { v: 1, mode: 'kill', by: 'unknown', why: clip(`an order that cannot be read counts as kill: ${text}`, 200) };
}

/** One order of the audit; `at` is the server's time, epoch milliseconds. */
export const SwitchEntry = z.object({
  scope: SwitchScope,
  mode: z.enum([...SWITCH_MODES, 'revive']),
  by: z.string(),
  why: z.string(),
  at: z.int(),
  revision: z.int(),
});
export type SwitchEntry = z.infer<typeof SwitchEntry>;

/** What an order has hit so far: runs ended or paused, calls stopped or refused, tasks refused. */
export const SwitchHits = z.object({ runs: z.int(), calls: z.int(), tasks: z.int() });
export type SwitchHits = z.infer<typeof SwitchHits>;

export const SwitchInfo = SwitchEntry.extend({ hits: SwitchHits });
export type SwitchInfo = z.infer<typeof SwitchInfo>;

/** A node shows that it reads the switches, and how far it has read. */
export const NodePresence = z.object({
  v: z.literal(1),
  node: z.string().max(128),
  revision: z.int(),
  /** It has stopped. */
  gone: z.boolean().optional(),
});
export type NodePresence = z.infer<typeof NodePresence>;

/** Whether an order is known to all who act. */
export const SwitchAck = z.object({
  acknowledged: z.boolean(),
  /** Nodes that confirmed it. */
  nodes: z.array(z.string()),
  /** Nodes that have not yet; they stop acting by themselves. */
  waiting_for: z.array(z.string()),
});
export type SwitchAck = z.infer<typeof SwitchAck>;
