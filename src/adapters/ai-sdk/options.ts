import type { Usage } from '../../core/decision.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Fetch } from './fetch.ts';
import type { Environment } from './target.ts';

export interface AiModelsOptions {
  /** Where keys and addresses come from. */
  env: Environment;
  /** USD for one call of a model at a moment (epoch ms). Throws AppError `unknown_price`. */
  cost: (model: string, tokens: Omit<Usage, 'cost_usd'>, at: number) => number;
  clock: Clock;
  /** Default: the one of the platform. */
  fetch?: Fetch;
}
