import { useSyncExternalStore } from 'react';

/** Addresses are the browser's own: every view, run and moment of a run has one to send to somebody. */

const CHANGED = 'proctor:moved';

function subscribe(tell: () => void): () => void {
  window.addEventListener('popstate', tell);
  window.addEventListener(CHANGED, tell);
  return () => {
    window.removeEventListener('popstate', tell);
    window.removeEventListener(CHANGED, tell);
  };
}

export interface Place {
  path: string[];
  query: URLSearchParams;
}

export function usePlace(): Place {
  const href = useSyncExternalStore(subscribe, () => `${location.pathname}${location.search}`);
  const url = new URL(href, location.origin);
  return { path: url.pathname.split('/').filter(Boolean).map(decodeURIComponent), query: url.searchParams };
}

export function go(href: string, how: 'push' | 'replace' = 'push'): void {
  if (href === `${location.pathname}${location.search}`) return;
  if (how === 'push') history.pushState(null, '', href);
  else history.replaceState(null, '', href);
  window.dispatchEvent(new Event(CHANGED));
}

/** Changes parts of the query; null removes one. */
export function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(`${location.pathname}${text === '' ? '' : `?${text}`}`, 'replace');
}
