import { AppError } from '../../core/errors.ts';
import type { ChartDefinition, ChartDetail, ChartLayout } from '../chart.ts';
import { hashOf, layoutChart } from './chart/layout.ts';

/**
 * Charts by the hash of their definition: each is laid out once for each direction. Users' machines bring new ones with
 * every version of theirs, so those that were told of longest ago are forgotten.
 */

const KEPT = 100;

export class Charts {
  private readonly lasting = new Set<string>();
  private readonly definitions = new Map<string, ChartDefinition>();
  private readonly layouts = new Map<string, Promise<ChartLayout>>();

  /** @param how long it is known: `lasting` for one that is there whatever nodes tell */
  add(definition: ChartDefinition, how: 'lasting' | 'as_room_allows' = 'as_room_allows'): string {
    const hash = hashOf(definition);
    if (how === 'lasting') this.lasting.add(hash);
    this.definitions.delete(hash);
    this.definitions.set(hash, definition);
    for (const old of this.definitions.keys()) {
      if (this.definitions.size <= KEPT) break;
      if (this.lasting.has(old)) continue;
      this.definitions.delete(old);
      for (const key of this.layouts.keys()) if (key.startsWith(old)) this.layouts.delete(key);
    }
    return hash;
  }

  /** Throws AppError `unknown_chart`. */
  definition(hash: string): ChartDefinition {
    const definition = this.definitions.get(hash);
    if (definition === undefined)
      throw new AppError('unknown_chart', 'there is no chart of that hash here: reload the page');
    return definition;
  }

  /** Throws AppError `unknown_chart`, and what the layout throws. */
  async layout(hash: string, direction: ChartLayout['direction'], detail: ChartDetail): Promise<ChartLayout> {
    const key = `${hash}.${direction}.${detail}`;
    const definition = this.definition(hash);
    const layout = this.layouts.get(key) ?? layoutChart(definition, direction, detail);
    this.layouts.set(key, layout);
    return layout;
  }
}
