import { useEffect, useState } from 'react';
import type { ActorAt, ActorView } from '../../wire.ts';
import { live } from './live.ts';

const KEPT = 200;

/** The address of an actor's page. */
export function actorPath({ node, kind, path }: ActorAt): string {
  return ['', 'tree', node, kind, ...path].map(encodeURIComponent).join('/');
}

/** The actor that an address names; null for one that names none. */
export function actorAt([node, kind, ...path]: string[]): ActorAt | null {
  if (node === undefined || (kind !== 'supervisor' && kind !== 'machine')) return null;
  return { node, kind, path };
}

/** An actor as this tab knows it, watched as long as somebody shows it; null before the first word. */
export function useActor(at: ActorAt): ActorView | null {
  const key = actorPath(at);
  const [view, setView] = useState<ActorView | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says all that is in the address
  useEffect(() => {
    const mine = {};
    const end = live.on('actor', (fresh) => {
      if (actorPath(fresh) !== key) return;
      // A stream that began anew tells all that it has once more.
      setView((before) => {
        const last = before?.events.at(-1)?.k ?? 0;
        const events = [...(before?.events ?? []), ...fresh.events.filter(({ k }) => k > last)];
        return { ...fresh, events: events.slice(-KEPT) };
      });
    });
    live.want(mine, { actor: at });
    return () => {
      end();
      live.unwant(mine);
    };
  }, [key]);
  return view;
}
