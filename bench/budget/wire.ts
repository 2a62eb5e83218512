import type { PriceEntry } from '../../src/policy/pricing.ts';

/** What the budget drill and its nodes say to each other. */

export interface BudgetNodeOptions {
  url: string;
  prefix: string;
  name: string;
  slots: number;
  /** Of the one user, for the day. */
  usd: number;
  /** It takes every refusal for a grant. */
  sabotage: boolean;
}

export const AGENT = 'spender';
export const MODEL = 'drill/paid';
export const USER = 'u';
/** A token costs a millionth of a dollar: 1,000 nanos. */
export const PRICE: PriceEntry = { model: MODEL, from: '2020-01-01', input: 1, output: 1 };
export const MAX_OUTPUT_TOKENS = 1_000;

/** Model calls of a run, from one to this. */
export const MOST_CALLS = 6;

/** A model was asked, which costs so much, whatever becomes of the node. */
export interface Asked {
  run: string;
  /** The node that asked. */
  node: string;
  nanos: number;
  /** When, epoch milliseconds by the clock of the machine, which is that of the server. */
  at: number;
}

/** Where that is told, beside everything of Proctor. */
export const ASKED = 'sink.asked';
