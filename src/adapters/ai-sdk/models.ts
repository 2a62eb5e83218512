import type { Usage } from '../../core/decision.ts';
import { AppError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Models } from '../../ports/model.ts';
import type { Fetch } from './fetch.ts';
import { type Environment, isProviderModel, PROVIDERS, targetOf } from './target.ts';

export interface AiModelsOptions {
  /** Where keys and addresses come from. */
  env: Environment;
  /** USD for one call of a model at a moment (epoch ms). Throws AppError `unknown_price`. */
  cost: (model: string, tokens: Omit<Usage, 'cost_usd'>, at: number) => number;
  clock: Clock;
  /** Default: the one of the platform. */
  fetch?: Fetch;
}

/**
 * Models of providers, by `<provider>/<model id>`. The SDK is loaded when the first model is asked: a node whose agents
 * all follow plans starts without it.
 */
export function aiModels(options: AiModelsOptions): Models {
  return {
    get(name) {
      if (isProviderModel(name)) {
        return {
          think: async (input) => {
            const { think } = await import('./think.ts');
            return think(input, options);
          },
        };
      }
      const known = PROVIDERS.map((provider) => `${provider}/<model id>`).join(', ');
      throw new AppError('no_model', `this node has no model "${name}"; it knows: ${known}`, { field: 'model' });
    },
    check(agent) {
      targetOf(agent, options.env);
      options.cost(agent.model, { input_tokens: 0, output_tokens: 0 }, options.clock.now());
    },
  };
}
