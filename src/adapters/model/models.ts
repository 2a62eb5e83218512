import type { AgentDefinition } from '../../core/agent.ts';
import { AppError } from '../../core/errors.ts';
import { withModel } from '../../core/fallback.ts';
import type { Model, Models } from '../../ports/model.ts';

/** The models of this node by the name that agent definitions use, and those of `others` beside them. */
export function models(map: Readonly<Record<string, Model>>, others?: Models): Models {
  const known = new Map(Object.entries(map));
  const get: Models['get'] = (name) => {
    const model = known.get(name);
    if (model !== undefined) return model;
    if (others !== undefined && name.includes('/')) return others.get(name);
    const names = known.size === 0 ? 'none' : [...known.keys()].join(', ');
    throw new AppError('no_model', `this node has no model "${name}"; it knows: ${names}`, { field: 'model' });
  };
  return {
    get,
    check(agent) {
      for (const one of askedBy(agent)) {
        if (known.has(one.model) || others === undefined || !one.model.includes('/')) get(one.model);
        else others.check(one);
      }
    },
  };
}

/** The agent with each model that it may come to ask: those that it falls back on are reached as their providers are by default. */
function askedBy(agent: AgentDefinition): AgentDefinition[] {
  const { models = [], plain } = agent.fallback ?? {};
  const others = [...models.map(({ model }) => model), ...(plain?.model === undefined ? [] : [plain.model])];
  return [agent, ...others.map((model) => withModel(agent, model))];
}
