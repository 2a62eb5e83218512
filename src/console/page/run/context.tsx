import { useState } from 'react';
import type { ContextAt } from '../../wire.ts';
import { useGet } from '../lib/use.ts';
import { Empty, FaultBox, Loading } from '../ui/bits.tsx';

/** What the run remembers at one entry, and how that differs from the entry before. */

export function Context({ run, n }: { run: string; n: number }) {
  const [changed, setChanged] = useState(true);
  const { data, fault } = useGet<ContextAt>(`/api/runs/${run}/context?n=${n}`);
  if (fault !== null) return <FaultBox fault={fault} />;
  if (data === null) return <Loading what={`entry ${n}`} />;
  const changes = data.before === null ? [] : differences(data.before, data.context);
  return (
    <>
      <div className="switcher">
        <button
          type="button"
          className={`filter ${changed ? 'chosen' : ''}`}
          aria-pressed={changed}
          onClick={() => setChanged(true)}
        >
          Changes <span className="num dim">{changes.length}</span>
        </button>
        <button
          type="button"
          className={`filter ${changed ? '' : 'chosen'}`}
          aria-pressed={!changed}
          onClick={() => setChanged(false)}
        >
          All of it
        </button>
      </div>
      {changed && data.before === null && (
        <Empty title="The first entry">There is nothing before it to differ from.</Empty>
      )}
      {changed && data.before !== null && changes.length === 0 && <Empty title="Nothing changed with this entry" />}
      {changed && changes.length > 0 && (
        <dl className="diff">
          {changes.map(({ path, before, after }) => (
            <div key={path}>
              <dt>{path}</dt>
              <dd>
                {before !== undefined && <del>{shown(before)}</del>}
                {after !== undefined && <ins>{shown(after)}</ins>}
              </dd>
            </div>
          ))}
        </dl>
      )}
      {!changed && <Tree value={data.context} changed={new Set(changes.map(({ path }) => path))} path="" />}
    </>
  );
}

interface Change {
  path: string;
  before: unknown;
  after: unknown;
}

function differences(before: unknown, after: unknown, path = ''): Change[] {
  if (Object.is(before, after)) return [];
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name) => differences(before[name], after[name], path === '' ? name : `${path}.${name}`));
  }
  return [{ path, before, after }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing';
  return json.length > 400 ? `${json.slice(0, 399)}…` : json;
}

function Tree({ value, changed, path }: { value: unknown; changed: Set<string>; path: string }) {
  if (!isObject(value)) return <code className="leaf">{JSON.stringify(value)}</code>;
  const names = Object.keys(value);
  if (names.length === 0) return <code className="leaf dim">{Array.isArray(value) ? '[]' : '{}'}</code>;
  return (
    <ul className="json">
      {names.map((name) => {
        const below = path === '' ? name : `${path}.${name}`;
        const inner = value[name];
        const isNew = [...changed].some((one) => one === below || one.startsWith(`${below}.`));
        const nested = isObject(inner) && Object.keys(inner).length > 0;
        return (
          <li key={name} className={isNew ? 'changed' : ''}>
            {nested ? (
              <details open={isNew || path === ''}>
                <summary>
                  {name}{' '}
                  <span className="dim num">
                    {Array.isArray(inner) ? `[${inner.length}]` : `{${Object.keys(inner).length}}`}
                  </span>
                </summary>
                <Tree value={inner} changed={changed} path={below} />
              </details>
            ) : (
              <>
                <span className="json-name">{name}</span> <Tree value={inner} changed={changed} path={below} />
              </>
            )}
          </li>
        );
      })}
    </ul>
  );
}
