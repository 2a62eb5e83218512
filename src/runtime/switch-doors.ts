import type { ApiBody } from '../core/door-wire.ts';
import { streamsOf } from '../core/streams.ts';
import { NodePresence, readSwitchOrder, type SwitchAck, SwitchHits, type SwitchInfo } from '../core/switch-wire.ts';
import type { StoredMessage } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';

/** What nodes answer about switches: whether an order is known everywhere, what is in force, the audit. */

/** One answer waits so long for the other nodes, milliseconds; whoever asked asks again. */
const WAIT_MS = 2_000;
/** How often presence is read anew while an order is waited for; what nodes say meanwhile is heard. */
const LOOK_MS = 250;

/**
 * Whether every node knows the order: each that is there has stored that it has read it, or has been silent for so long
 * that it has stopped acting by itself.
 */
export async function switchAck(deps: NodeDeps, { revision }: ApiBody<'switch_ack'>): Promise<SwitchAck> {
  const { bus, subjects, clock } = deps;
  const heard = new Map<string, number>();
  let wake = () => {};
  const listening = bus.subscribe(subjects.presence('*'), ({ data }) => {
    const record = presenceIn(data);
    if (record === null) return;
    heard.set(record.node, record.gone === true ? Number.POSITIVE_INFINITY : record.revision);
    wake();
  });
  const until = clock.now() + WAIT_MS;
  try {
    // What is heard from here on counts; what was said before is read.
    await bus.flush();
    for (;;) {
      const present = await presentNodes(deps);
      const nextLook = clock.now() + LOOK_MS;
      for (;;) {
        const waiting = present.filter((one) => Math.max(one.revision, heard.get(one.node) ?? 0) < revision);
        const waiting_for = waiting.map(({ node }) => node);
        const nodes = present.map(({ node }) => node).filter((node) => !waiting_for.includes(node));
        if (waiting.length === 0 || clock.now() >= until) {
          return { acknowledged: waiting.length === 0, nodes, waiting_for };
        }
        const left = nextLook - clock.now();
        if (left <= 0) break;
        await new Promise<void>((resolve) => {
          const cancel = clock.after(left, resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
      }
    }
  } finally {
    await listening.stop();
  }
}

/** Nodes that may act, by their last record. */
async function presentNodes({ bus, subjects, clock, settings }: NodeDeps): Promise<NodePresence[]> {
  const since = clock.now() - settings.switch_stale_ms - settings.clock_tolerance_ms;
  const found: NodePresence[] = [];
  for await (const message of bus.scan(streamsOf(subjects).presence.name, subjects.presence('*'))) {
    const record = presenceIn(message.data);
    if (record !== null && record.gone !== true && message.at >= since) found.push(record);
  }
  return found.sort((a, b) => (a.node < b.node ? -1 : 1));
}

function presenceIn(data: string): NodePresence | null {
  try {
    return NodePresence.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}

/** What is in force, or a page of all orders there ever were; with what each has hit. */
export async function listSwitches(
  deps: NodeDeps,
  { history, limit, after }: ApiBody<'switches'>,
): Promise<{ switches: SwitchInfo[]; next: number | null }> {
  const { bus, subjects, switches } = deps;
  const streams = streamsOf(subjects);
  const hits = new Map<number, SwitchHits>();
  for await (const { subject, data } of bus.scan(streams.switchHits.name, `${subjects.prefix}.switched.>`)) {
    const counted = SwitchHits.safeParse(JSON.parse(data)).data;
    if (counted === undefined) continue;
    const revision = Number(subject.split('.')[2]);
    const sum = hits.get(revision) ?? { runs: 0, calls: 0, tasks: 0 };
    const { runs, calls, tasks } = counted;
    hits.set(revision, { runs: sum.runs + runs, calls: sum.calls + calls, tasks: sum.tasks + tasks });
  }
  const withHits = (revision: number) => hits.get(revision) ?? { runs: 0, calls: 0, tasks: 0 };
  if (!history) {
    await switches.refresh();
    const found = switches.inForce().filter(({ revision }) => revision > after);
    const page = found.slice(0, limit).map((one) => ({ ...one, hits: withHits(one.revision) }));
    return { switches: page, next: found.length > limit ? (page.at(-1)?.revision ?? null) : null };
  }
  const page: SwitchInfo[] = [];
  const filter = `${subjects.prefix}.switch.>`;
  for await (const message of bus.scan(streams.switches.name, filter, { fromSequence: after + 1 })) {
    if (page.length >= limit) return { switches: page, next: page.at(-1)?.revision ?? null };
    const order = orderIn(deps, message);
    if (order !== null) page.push({ ...order, hits: withHits(order.revision) });
  }
  return { switches: page, next: null };
}

function orderIn({ subjects }: NodeDeps, message: StoredMessage): Omit<SwitchInfo, 'hits'> | null {
  const scope = subjects.parseSwitch(message.subject);
  if (scope === null) return null;
  const { mode, by, why } = readSwitchOrder(message.data);
  return { scope, mode, by, why, at: message.at, revision: message.seq };
}
