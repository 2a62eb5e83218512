import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type { Fault } from '../../wire.ts';
import { faultOf, get } from './api.ts';
import { live } from './live.ts';

const ticking = new Set<() => void>();
let tickedAt = Date.now();
let timer = 0;

function subscribeTicks(tell: () => void): () => void {
  ticking.add(tell);
  if (ticking.size === 1) {
    timer = window.setInterval(() => {
      tickedAt = Date.now();
      for (const one of ticking) one();
    }, 1_000);
  }
  return () => {
    ticking.delete(tell);
    if (ticking.size === 0) clearInterval(timer);
  };
}

/** Server time, once a second, one timer for all. */
export function useNow(): number {
  const now = useSyncExternalStore(subscribeTicks, () => tickedAt);
  return Math.max(now, Date.now() - 1_000) + live.offset;
}

export interface Loaded<T> {
  data: T | null;
  fault: Fault | null;
  reload(): void;
}

/** What an address answers; the last answer stays while it is asked again. `every` in milliseconds. */
export function useGet<T>(path: string | null, every?: number): Loaded<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; fault: Fault | null }>({
    path: null,
    data: null,
    fault: null,
  });
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a round asks once more
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    let again = 0;
    const ask = () => {
      get<T>(path, abort.signal)
        .then(
          (data) => setState({ path, data, fault: null }),
          (thrown: unknown) => {
            if (abort.signal.aborted) return;
            setState((before) => ({
              path,
              data: isSame(before.path, path) ? before.data : null,
              fault: faultOf(thrown),
            }));
          },
        )
        .finally(() => {
          if (every !== undefined && !abort.signal.aborted) again = window.setTimeout(ask, every);
        });
    };
    ask();
    return () => {
      abort.abort();
      clearTimeout(again);
    };
  }, [path, every, round]);
  // Of another moment of the same thing the last answer stays until the next is there: nothing flickers.
  if (!isSame(state.path, path)) return { data: null, fault: null, reload };
  return { data: state.data, fault: state.path === path ? state.fault : null, reload };
}

function isSame(a: string | null, b: string | null): boolean {
  return a?.split('?')[0] === b?.split('?')[0];
}

/** True when the media query holds. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (tell) => {
      const media = matchMedia(query);
      media.addEventListener('change', tell);
      return () => media.removeEventListener('change', tell);
    },
    () => matchMedia(query).matches,
  );
}
