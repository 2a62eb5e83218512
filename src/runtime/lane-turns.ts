import { CLASS_WEIGHTS, type Priority } from '../core/run-queues.ts';

/**
 * Whose turn it is: classes by weight, the lanes of a class one after the other. A class or lane in which nothing waits
 * has no turn and saves none up.
 */

export interface Waiting {
  key: string;
  priority: Priority;
  /** Most places that it may have now. */
  most: number;
}

export class LaneTurns {
  /** Smooth weighted round robin: each turn all get their weight, who has most is served and pays what all got. */
  private readonly credit = new Map<Priority, number>();
  /** The lane of each class that was served last. */
  private readonly served = new Map<Priority, string>();

  /** Places by lane. */
  share(waiting: Waiting[], places: number): Map<string, number> {
    const shares = new Map<string, number>();
    const open = waiting.map((one) => ({ ...one })).sort((a, b) => (a.key < b.key ? -1 : 1));
    for (let left = places; left > 0; left--) {
      const wanting = open.filter(({ most }) => most > 0);
      if (wanting.length === 0) break;
      const lane = this.nextLane(wanting, this.nextClass(wanting));
      lane.most--;
      shares.set(lane.key, (shares.get(lane.key) ?? 0) + 1);
    }
    return shares;
  }

  private nextClass(wanting: Waiting[]): Priority {
    const classes = [...new Set(wanting.map(({ priority }) => priority))];
    for (const one of this.credit.keys()) if (!classes.includes(one)) this.credit.delete(one);
    const credit = (one: Priority) => this.credit.get(one) ?? 0;
    for (const one of classes) this.credit.set(one, credit(one) + CLASS_WEIGHTS[one]);
    const best = classes.reduce((a, b) => (credit(b) > credit(a) ? b : a));
    this.credit.set(best, credit(best) - classes.reduce((sum, one) => sum + CLASS_WEIGHTS[one], 0));
    return best;
  }

  private nextLane(wanting: Waiting[], priority: Priority): Waiting {
    const lanes = wanting.filter((one) => one.priority === priority);
    const last = this.served.get(priority) ?? '';
    const lane = lanes.find(({ key }) => key > last) ?? lanes[0];
    if (lane === undefined) throw new RangeError(`no lane of class ${priority} waits`);
    this.served.set(priority, lane.key);
    return lane;
  }
}
