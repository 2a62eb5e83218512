import { AppError } from '../../core/errors.ts';
import type { Models } from '../../ports/model.ts';
import type { AiModelsOptions } from './options.ts';
import { isProviderModel, PROVIDERS, targetOf } from './target.ts';

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
