import { AppError } from '../../core/errors.ts';
import type { Model, Models } from '../../ports/model.ts';

/** The model adapters of this node, by the name that agent definitions use. */
export function models(map: Readonly<Record<string, Model>>): Models {
  const known = new Map(Object.entries(map));
  return {
    get(name) {
      const model = known.get(name);
      if (model !== undefined) return model;
      const names = known.size === 0 ? 'none' : [...known.keys()].join(', ');
      throw new AppError('no_model', `this node has no model "${name}"; it knows: ${names}`, { field: 'model' });
    },
  };
}
