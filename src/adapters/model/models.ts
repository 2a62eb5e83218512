import { AppError } from '../../core/errors.ts';
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
      if (known.has(agent.model) || others === undefined || !agent.model.includes('/')) get(agent.model);
      else others.check(agent);
    },
  };
}
