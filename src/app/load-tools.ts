import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createJiti } from 'jiti';
import * as zod from 'zod';
import { AppError, toAppError } from '../core/errors.ts';
import * as proctor from '../index.ts';
import type { WorkerTool } from '../worker/worker-tool.ts';

/**
 * The tools in a module of a user's: TypeScript or JavaScript, `export default [defineTool(…), …]` or
 * `export const tools = […]`. It may import `proctor`, which is this one, and `zod`, its own or else ours, so a folder
 * without node_modules will do. Throws AppError `bad_worker_file`.
 */
export async function loadTools(file: string): Promise<WorkerTool[]> {
  const path = resolve(file);
  const found = await stat(path).catch((cause: unknown) => {
    throw bad(file, 'there is no such file, or it cannot be read', cause);
  });
  if (found.isDirectory()) throw bad(file, 'it is a folder: name the file that exports the tools');
  const own = createRequire(path);
  const virtualModules: Record<string, unknown> = { proctor };
  if (!resolves(own, 'zod')) virtualModules.zod = zod;
  const jiti = createJiti(path, { virtualModules });
  let module: { tools?: unknown; default?: unknown };
  try {
    module = await jiti.import(path);
  } catch (thrown) {
    throw bad(
      file,
      `it cannot be loaded: ${toAppError(thrown).message.replace(/\s*Require stack:[\s\S]*$/, '')}`,
      thrown,
    );
  }
  const tools = [module.tools, module.default].find(Array.isArray) as unknown[] | undefined;
  if (tools === undefined || tools.length === 0) {
    throw bad(file, 'it exports no tools: write `export default [defineTool({ … })]` or `export const tools = […]`');
  }
  const odd = tools.findIndex((tool) => !isTool(tool));
  if (odd >= 0) throw bad(file, `the export at index ${odd} is no tool: make it with defineTool({ … })`);
  return tools as WorkerTool[];
}

function isTool(value: unknown): value is WorkerTool {
  return typeof value === 'object' && value !== null && 'definition' in value && 'handler' in value;
}

function resolves(from: NodeJS.Require, name: string): boolean {
  try {
    from.resolve(name);
    return true;
  } catch {
    return false;
  }
}

function bad(file: string, why: string, cause?: unknown): AppError {
  return new AppError('bad_worker_file', `${file}: ${why}`, { cause });
}
