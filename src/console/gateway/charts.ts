import { AppError } from '../../core/errors.ts';
import type { ChartDefinition, ChartDetail, ChartLayout } from '../chart.ts';
import { hashOf, layoutChart } from './chart/layout.ts';

/** Charts by the hash of their definition: each is laid out once for each direction. */
export class Charts {
  private readonly definitions = new Map<string, ChartDefinition>();
  private readonly layouts = new Map<string, Promise<ChartLayout>>();

  add(definition: ChartDefinition): string {
    const hash = hashOf(definition);
    this.definitions.set(hash, definition);
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
