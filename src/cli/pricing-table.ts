import { readFile } from 'node:fs/promises';
import { loadPricing } from '../app/pricing.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { unreadable } from './arguments.ts';
import { exampleFile } from './example-task.ts';

type PricingTable = ReturnType<typeof loadPricing>;

/** The prices in a file, else those of the example that comes with Proctor. Throws AppError `bad_pricing`. */
export async function pricingTable(given: string | undefined): Promise<PricingTable> {
  const path = given ?? exampleFile('pricing.yaml');
  if (path === null) return { v: 1, prices: [] };
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new AppError('bad_pricing', unreadable(path, cause), { cause });
  });
  try {
    return loadPricing(text);
  } catch (thrown) {
    throw new AppError('bad_pricing', `${path}: ${toAppError(thrown).message}`, { cause: thrown });
  }
}
