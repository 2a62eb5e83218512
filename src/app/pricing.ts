import { parseDocument } from 'yaml';
import { AppError } from '../core/errors.ts';
import { type PricingTable, parsePricing } from '../policy/pricing.ts';

/** Largest pricing file, characters. */
const MAX_CHARS = 1_000_000;

/** The table in the text of a pricing file (YAML or JSON). Throws AppError `bad_pricing` with all faults at once. */
export function loadPricing(text: string): PricingTable {
  if (text.length > MAX_CHARS) {
    throw new AppError(
      'bad_pricing',
      `the pricing file has ${text.length} characters, at most ${MAX_CHARS} are allowed`,
    );
  }
  const document = parseDocument(text);
  if (document.errors.length > 0) {
    const faults = document.errors.slice(0, 20).map(({ message }) => message.split('\n')[0]);
    throw new AppError('bad_pricing', `the pricing file is no YAML: ${faults.join('; ')}`);
  }
  return parsePricing(document.toJS({ maxAliasCount: 100 }));
}
