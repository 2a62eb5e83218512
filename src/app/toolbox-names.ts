import { systemClock } from '../adapters/clock/system-clock.ts';
import { createToolbox } from '../adapters/toolbox/toolbox.ts';

/** The names of the tools that a node brings itself. */
export function toolboxNames(root: string): string[] {
  return createToolbox({ root, allowHosts: [], clock: systemClock() }).map((tool) => tool.definition.name);
}
