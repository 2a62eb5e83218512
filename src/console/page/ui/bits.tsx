import { type MouseEvent, type ReactNode, useState } from 'react';
import type { Fault } from '../../wire.ts';
import { age, exact, shortId, span } from '../lib/format.ts';
import { go } from '../lib/router.ts';
import { useNow } from '../lib/use.ts';

/** Small parts that all views use. */

export function Link({
  to,
  children,
  className,
  label,
}: {
  to: string;
  children: ReactNode;
  className?: string;
  label?: string;
}) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={follow} className={className} aria-label={label}>
      {children}
    </a>
  );
}

/** How long ago, or how long until; the exact moment on hover. */
export function When({ at, ago = true }: { at: number; ago?: boolean }) {
  const now = useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)} className="num">
      {ago ? `${age(now - at)} ago` : age(now - at)}
    </time>
  );
}

export function Countdown({ at }: { at: number }) {
  const left = at - useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)} className={`num ${left < 10_000 ? 'soon' : ''}`}>
      {left <= 0 ? 'now' : `in ${span(Math.ceil(left / 1_000) * 1_000)}`}
    </time>
  );
}

export function CopyId({ id, short = true }: { id: string; short?: boolean }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(id).catch(() => undefined);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_200);
  };
  return (
    <button type="button" className="id" title={`${id} — click to copy`} aria-label={`Copy ${id}`} onClick={copy}>
      {copied ? 'copied' : short ? shortId(id) : id}
    </button>
  );
}

export function Panel({
  title,
  aside,
  children,
  className = '',
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={`panel ${className}`} aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        {aside !== undefined && <div className="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children !== undefined && <div className="empty-text">{children}</div>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="empty" role="status">
      <span className="spinner" aria-hidden="true" />
      <p className="empty-text">Reading {what}…</p>
    </div>
  );
}

const TITLES: Record<string, string> = {
  offline: 'The console does not answer',
  no_node: 'No node answers',
  unavailable: 'The cluster does not answer',
  forbidden: 'Your role does not allow this',
  unknown_run: 'There is no such run',
  unknown_chart: 'The definition of this chart is not known here',
  journal_newer: 'This run was written by a newer version',
  journal_corrupt: 'The journal of this run is damaged',
};

export function FaultBox({ fault, retry }: { fault: Fault; retry?: () => void }) {
  return (
    <div className="empty" role="alert">
      <p className="empty-title">{TITLES[fault.code] ?? 'That did not work'}</p>
      <p className="empty-text">{fault.message}</p>
      {retry !== undefined && (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Tag({
  children,
  tone = 'plain',
  title,
}: {
  children: ReactNode;
  tone?: string | undefined;
  title?: string;
}) {
  return (
    <span className={`tag tone-${tone}`} title={title}>
      {children}
    </span>
  );
}

export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export interface TabSpec {
  id: string;
  title: ReactNode;
}

/** Tabs with arrow keys, as the ARIA pattern has them. */
export function TabList({
  tabs,
  chosen,
  choose,
  label,
}: {
  tabs: TabSpec[];
  chosen: string;
  choose: (id: string) => void;
  label: string;
}) {
  return (
    <div
      role="tablist"
      aria-label={label}
      className="tabs"
      tabIndex={-1}
      onKeyDown={(event) => {
        const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
        const at = tabs.findIndex(({ id }) => id === chosen);
        const next = tabs[(at + step + tabs.length) % tabs.length];
        if (step === 0 || next === undefined) return;
        choose(next.id);
        document.getElementById(`tab-${next.id}`)?.focus();
      }}
    >
      {tabs.map(({ id, title }) => (
        <button
          key={id}
          id={`tab-${id}`}
          type="button"
          role="tab"
          aria-selected={id === chosen}
          tabIndex={id === chosen ? 0 : -1}
          className="tab"
          onClick={() => choose(id)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}
