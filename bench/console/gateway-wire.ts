import { type Child, startChild } from '../support/children.ts';

/** What a gateway of the benchmarks is told, and how it is asked. */

export interface GatewayOptions {
  url: string;
  prefix: string;
  /** Folder for its file of accounts. */
  dir: string;
  /** Folder of the built page; default what `npm run build` made. */
  assets?: string | undefined;
}

/** Of its only account. */
export const TOKEN = 'watcher-token-0123456789';

export interface Gateway {
  child: Child;
  url: string;
  /** What its heap holds when it is cleaned up, MB. */
  heapMb(): Promise<number>;
}

/** Resolves when it listens. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const child = startChild(import.meta.url, './gateway', options, ['--expose-gc']);
  const url = await child.until((line) => /^at (.*)$/.exec(line)?.[1] ?? null);
  return {
    child,
    url,
    async heapMb() {
      child.tell({ heap: true });
      return Number(await child.until((line) => /^heap (\d+)$/.exec(line)?.[1] ?? null)) / 2 ** 20;
    },
  };
}
