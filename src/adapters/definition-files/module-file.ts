import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { AppError } from '../../core/errors.ts';
import { agentsIn, type WrittenAgent } from './written-agent.ts';

/**
 * Agents in TypeScript and JavaScript: the default export of a module. It may import whatever is beside it, and
 * `proctor`, which is this very package wherever the file lies. Types are not checked here; an editor does.
 */
export async function readModule(path: string): Promise<WrittenAgent[]> {
  // Large, and needed for few folders.
  const { createJiti } = await import('jiti');
  const jiti = createJiti(import.meta.url, {
    alias: { proctor: ownPackage() },
    // A cache on disk lies where others may write; one in memory would keep what has been edited since.
    fsCache: false,
    moduleCache: false,
    interopDefault: false,
  });
  const module = await jiti.import<{ default?: unknown }>(pathToFileURL(path).href);
  if (module.default !== undefined) return agentsIn(module.default);
  throw new AppError('invalid_agent', 'expected a default export: defineAgent({...}), or a list of them');
}

/** The entry of this package: TypeScript or JavaScript, as this file is itself. */
function ownPackage(): string {
  const ending = extname(fileURLToPath(import.meta.url));
  return fileURLToPath(new URL(`../../index${ending}`, import.meta.url));
}
