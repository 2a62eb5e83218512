import { z } from 'zod';
import type { Usage } from '../core/decision.ts';
import { AppError, describeFaults } from '../core/errors.ts';

/**
 * What model calls cost (COST-1): a table of dated prices. The entry in force at a moment is the newest one that has
 * begun and not ended; an exact name goes before a pattern, a long pattern before a short one. A model without a price
 * is an error, never free: who wants a model to be free writes a price of 0.
 */

/** USD per million tokens. */
const Usd = z.number().min(0).max(1_000_000);
const Day = z.iso.date('expected a date such as "2026-01-31"');

export const PriceEntry = z.strictObject({
  /** A model as agents name it, `<provider>/<model id>`; a trailing `*` matches the rest. */
  model: z
    .string()
    .max(128)
    .regex(/^[^\s*]+\*?$/, 'expected <provider>/<model id>, perhaps with one * at its end'),
  /** First and last day in force, UTC; without `to`, until the next entry for the same model begins. */
  from: Day,
  to: Day.optional(),
  input: Usd,
  output: Usd,
  /** Input that the provider had in its cache; the price of other input when absent. */
  cached_input: Usd.optional(),
});
export type PriceEntry = z.infer<typeof PriceEntry>;

export const PricingTable = z
  .strictObject({
    v: z.literal(1).default(1),
    note: z.string().max(4096).optional(),
    prices: z.array(PriceEntry).max(2_000),
  })
  .check((ctx) => {
    for (const fault of overlaps(ctx.value.prices)) {
      ctx.issues.push({ code: 'custom', input: ctx.value, path: fault.path, message: fault.message });
    }
  });
export type PricingTable = z.infer<typeof PricingTable>;

/** Throws AppError `bad_pricing` with every fault of the table. */
export function parsePricing(value: unknown): PricingTable {
  const parsed = PricingTable.safeParse(value);
  if (parsed.success) return parsed.data;
  const { message, field } = describeFaults(parsed.error, 'pricing');
  throw new AppError('bad_pricing', `the pricing table is not valid: ${message}`, { field });
}

/** The entry in force for a model at a moment (epoch ms). Throws AppError `unknown_price`. */
export function priceOf(table: PricingTable, model: string, at: number): PriceEntry {
  const day = new Date(at).toISOString().slice(0, 10);
  let best: PriceEntry | undefined;
  for (const entry of table.prices) {
    if (!covers(entry, model) || day < entry.from || (entry.to !== undefined && day > entry.to)) continue;
    if (best === undefined || goesBefore(entry, best)) best = entry;
  }
  if (best !== undefined) return best;
  throw new AppError(
    'unknown_price',
    `the pricing table has no price for the model "${model}" on ${day}: add an entry for it (a local model costs 0)`,
    { field: 'model' },
  );
}

/** Whether the table says anything of a model. */
export function hasPrice(table: PricingTable, model: string): boolean {
  return table.prices.some((entry) => covers(entry, model));
}

/** What one call cost, USD. Cached input is part of the input. */
export function costOf(price: PriceEntry, usage: Omit<Usage, 'cost_usd'>): number {
  const cached = Math.min(usage.cached_input_tokens ?? 0, usage.input_tokens);
  const usd =
    (usage.input_tokens - cached) * price.input +
    cached * (price.cached_input ?? price.input) +
    usage.output_tokens * price.output;
  return usd / 1_000_000;
}

function covers({ model }: PriceEntry, name: string): boolean {
  return model.endsWith('*') ? name.startsWith(model.slice(0, -1)) : model === name;
}

/** Both cover the same name on the same day. */
function goesBefore(a: PriceEntry, b: PriceEntry): boolean {
  if (a.model === b.model) return a.from > b.from;
  const exact = (entry: PriceEntry) => (entry.model.endsWith('*') ? 0 : 1);
  return exact(a) - exact(b) > 0 || (exact(a) === exact(b) && a.model.length > b.model.length);
}

interface Overlap {
  path: (string | number)[];
  message: string;
}

/** Entries for one model of which two claim the same day. One without an end gives way to its successor. */
function overlaps(prices: PriceEntry[]): Overlap[] {
  const faults: Overlap[] = [];
  const sorted = prices.map((entry, index) => ({ ...entry, index })).toSorted(inOrder);
  sorted.forEach((one, i) => {
    const { index, model, from, to } = one;
    if (to !== undefined && to < from) {
      faults.push({ path: ['prices', index, 'to'], message: `is before the entry begins, ${from}` });
    }
    const next = sorted[i + 1];
    if (next?.model !== model || (next.from > from && (to === undefined || to < next.from))) return;
    const both = `prices.${index} (${span(one)}) and prices.${next.index} (${span(next)})`;
    faults.push({ path: ['prices', next.index], message: `${both} both price "${model}" on ${next.from}` });
  });
  return faults;
}

function inOrder(a: PriceEntry, b: PriceEntry): number {
  if (a.model !== b.model) return a.model < b.model ? -1 : 1;
  return a.from < b.from ? -1 : 1;
}

function span({ from, to }: PriceEntry): string {
  return `from ${from}${to === undefined ? '' : ` to ${to}`}`;
}
