import { z } from 'zod';
import { ChartDefinition } from './chart-wire.ts';
import { Json } from './json.ts';
import { encodeToken } from './tokens.ts';

/**
 * State charts of what lives on a node, told only while somebody watches: of its supervisors, and of machines that a
 * program in its process has shown it. Whoever watches asks with `api.inspect` and asks again within the lease; meanwhile
 * the node tells what changes on `insp.<node>.<kind>.<path>`. Version 1.
 */

/** How long a node tells of an actor after somebody asked, milliseconds: then it is let go by itself. */
export const WATCH_LEASE_MS = 15_000;
/** Least time between two words about one actor, milliseconds. */
export const TELL_EVERY_MS = 250;
/** Events in one word about an actor: of more the newest. */
export const MAX_TOLD_EVENTS = 40;
/** Characters that are told of what one event brought. */
export const MAX_EVENT_DATA = 512;
/** States that are active at once, as far as they are told. */
export const MAX_ACTIVE = 64;
/** Machines that a node shows, and actors that can be watched on it at a time. */
export const MAX_MACHINES = 200;
export const MAX_WATCHED = 32;

const Id = z.string().min(1).max(256);
const StatePath = z.string().max(512);

/**
 * What the ids of an address may take as tokens of a subject, in bytes. nats-server ends the connection that names a longer
 * subject than fits its control line of 4,096 bytes; a machine of the longest name takes 1,152.
 */
const MAX_ENCODED = 2_048;
const encodedLength = (path: string[]) => path.reduce((sum, id) => sum + (id === '' ? 0 : encodeToken(id).length), 0);

/** `supervisor`: the ids that lead to it from the root, which has none. `machine`: the name that it is shown under. */
export const ActorAddress = z.object({
  kind: z.enum(['supervisor', 'machine']),
  path: z
    .array(Id)
    .max(8)
    .refine(
      (path) => encodedLength(path) <= MAX_ENCODED,
      `expected ids that take at most ${MAX_ENCODED} bytes encoded`,
    ),
});
export type ActorAddress = z.infer<typeof ActorAddress>;

export const InspectQuery = z.object({
  v: z.literal(1).default(1),
  ...ActorAddress.shape,
  /** Whether the chart is wanted as well: it does not change while the actor is the same. */
  chart: z.boolean().default(true),
});
export type InspectQuery = z.infer<typeof InspectQuery>;

/** Something that an actor was sent. */
const ActorEvent = z.object({
  at: z.int(),
  type: z.string().max(256),
  /** The beginning of what it brought, without secrets; as JSON text. */
  data: z.string().max(MAX_EVENT_DATA),
});
export type ActorEvent = z.infer<typeof ActorEvent>;

/** Where an actor stands. Times in epoch milliseconds of the node. */
export const ActorState = z.object({
  v: z.literal(1),
  /** Which actor of that address it is, as a supervisor may start another one: then the chart is asked for anew. */
  actor: z.string().max(64),
  /** Counts up from word to word. */
  n: z.int(),
  at: z.int(),
  status: z.enum(['active', 'done', 'error', 'stopped']),
  /** Dotted paths of the innermost states that are active. */
  active: z.array(StatePath).max(MAX_ACTIVE),
  /** Edges of the chart that were taken last. */
  via: z.array(StatePath).max(MAX_ACTIVE),
  /** What came since the word before, oldest first. */
  events: z.array(ActorEvent).max(MAX_TOLD_EVENTS),
  /** How many came, those that are not told included. */
  heard: z.int(),
  /** The beginning of its context, without secrets. */
  context: Json,
});
export type ActorState = z.infer<typeof ActorState>;

export const Inspected = z.object({
  state: ActorState,
  chart: ChartDefinition.optional(),
  lease_ms: z.int(),
});
export type Inspected = z.infer<typeof Inspected>;
