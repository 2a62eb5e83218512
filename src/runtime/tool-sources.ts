import { AppError } from '../core/errors.ts';
import type { ToolDefinition } from '../core/tool.ts';
import type { ToolSource } from '../ports/tools.ts';

/**
 * Several sources as one: a tool belongs to the first source that has it. A call of a tool that none has fails with
 * AppError `unknown_tool`; nothing was done then.
 */
export function combinedTools(sources: readonly ToolSource[]): ToolSource {
  // Where a tool was found last: a call goes there without asking again.
  const owners = new Map<string, ToolSource>();

  const locate = async (name: string): Promise<{ source: ToolSource; definition: ToolDefinition } | null> => {
    for (const source of sources) {
      const definition = await source.find(name);
      if (definition === null) continue;
      owners.set(name, source);
      return { source, definition };
    }
    return null;
  };

  const callLocated: ToolSource['call'] = async (call) => {
    const found = await locate(call.tool);
    if (found !== null) return found.source.call(call);
    const text = `no tool "${call.tool}" is offered: check its name, and that its worker runs`;
    throw new AppError('unknown_tool', text, { retryable: true });
  };

  return {
    async find(name) {
      return (await locate(name))?.definition ?? null;
    },
    async list() {
      const lists = await Promise.all(sources.map((source) => source.list?.() ?? []));
      const byName = new Map<string, ToolDefinition>();
      for (const definition of lists.flat()) if (!byName.has(definition.name)) byName.set(definition.name, definition);
      return [...byName.values()];
    },
    call: (call) => owners.get(call.tool)?.call(call) ?? callLocated(call),
  };
}
