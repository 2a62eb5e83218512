import { toAppError } from '../core/errors.ts';
import { readUnfinished, type StatusEvent } from '../core/status.ts';
import { streamsOf } from '../core/streams.ts';
import { readSwitchOrder } from '../core/switch-wire.ts';
import { encodeToken } from '../core/tokens.ts';
import type { Delivery } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';
import { orderFor, scopesOf } from './switched.ts';

/**
 * Carries an order of a switch to the runs that nobody owns. Owners heed switches by themselves, and so does whoever
 * takes a run; parked runs would only find out when something wakes them. Each order is handed to one node, through a
 * durable consumer of the orders themselves, so a node that dies half way is followed by another, and an order given by
 * a plain publish is carried out like any other. What a run is told follows from its journal and the switches in force,
 * so telling it twice changes nothing.
 */

/** Runs that were on their way into the park at the first look are found by the second, milliseconds later. */
const AGAIN_MS = 3_000;
const AT_ONCE = 32;

export class SwitchSweep {
  private readonly deps: NodeDeps;

  constructor(deps: NodeDeps) {
    this.deps = deps;
  }

  /** Never rejects. */
  async take(delivery: Delivery): Promise<void> {
    const { log } = this.deps;
    try {
      const told = await this.sweep(delivery);
      if (told > 0) log.info('switch.carried_out', { subject: delivery.subject, runs_told: told });
      if (delivery.deliveries > 1) delivery.ack();
      else delivery.nak(AGAIN_MS);
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      log.warn('switch.sweep_failed', { subject: delivery.subject, code, message, consequence: 'done again in 1 s' });
      delivery.nak(1_000);
    }
  }

  private async sweep(delivery: Delivery): Promise<number> {
    const { bus, subjects, switches } = this.deps;
    const scope = subjects.parseSwitch(delivery.subject);
    if (scope === null || scope.startsWith('tool:') || scope.startsWith('model:')) return 0;
    await switches.refresh();
    const first = delivery.deliveries === 1;
    const { mode } = readSwitchOrder(delivery.data);
    let told = 0;
    let batch: StatusEvent[] = [];
    const tell = async (): Promise<void> => {
      const answers = await Promise.all(batch.map((status) => this.tellRun(status.run, delivery.seq)));
      told += answers.filter(Boolean).length;
      batch = [];
      delivery.working();
    };
    for await (const { data } of bus.scan(streamsOf(subjects).events.name, this.filterOf(scope))) {
      const status = readUnfinished(data);
      if (status === null) continue;
      // Owned and queued runs are seen to by whoever has or takes them; those that a node died over, the second time.
      if (first && (status.node !== undefined || status.state === 'idle.accepted')) continue;
      // Who waits for a person loses no time by waiting, and heeds the switch when it is woken.
      if (mode !== 'kill' && mode !== 'revive' && status.budget?.deadline_at === null) continue;
      batch.push(status);
      if (batch.length >= AT_ONCE) await tell();
    }
    await tell();
    return told;
  }

  private filterOf(scope: string): string {
    const { subjects } = this.deps;
    const [kind, ...rest] = scope.split(':');
    const name = rest.join(':');
    if (kind === 'run') return subjects.anyEvent(name);
    if (kind === 'user') return `${subjects.prefix}.evt.*.${encodeToken(name)}.*`;
    if (kind !== 'agent') return `${subjects.prefix}.evt.>`;
    return `${subjects.prefix}.evt.${subjects.switchOf(scope).split('.')[3]}.*.*`;
  }

  /** True when the run was told something. */
  private async tellRun(run: string, revision: number): Promise<boolean> {
    const { bus, journal, subjects, switches } = this.deps;
    const fold = await journal.load(run);
    fold?.stop();
    if (fold === null || fold.ended) return false;
    const accepted = (await journal.mustHave(run, 0)).events.find((event) => event.type === 'accepted');
    if (accepted === undefined) return false;
    const order = orderFor(switches, fold, scopesOf(accepted));
    if (order === null) return false;
    const { type: kind, by, why, scope } = order;
    const subject = subjects.inbox({ run, kind, id: `switch-${revision}` });
    await bus.publish(subject, JSON.stringify({ v: 1, by, why, scope })).catch((thrown: unknown) => {
      if (toAppError(thrown).code !== 'taken') throw thrown;
    });
    return true;
  }
}
