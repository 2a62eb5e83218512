// biome-ignore-all lint/a11y/useSemanticElements: of a table whose rows exist only while they are in view
// biome-ignore-all lint/a11y/useFocusableInteractive: rows are read, their links are followed
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useCallback, useEffect, useRef, useState } from 'react';
import type { Fault, RunPage, RunQuery, RunRow, RunSort } from '../../wire.ts';
import { faultOf, post } from '../lib/api.ts';
import { asked, count, usd } from '../lib/format.ts';
import { live } from '../lib/live.ts';
import { go, setQuery } from '../lib/router.ts';
import { PAGE, RunRows } from '../lib/run-rows.ts';
import { Empty, FaultBox, Link, Loading, When } from '../ui/bits.tsx';
import { StateMark, StateName } from '../ui/mark.tsx';

/** All runs: filtered and sorted by the gateway, read in pages as they come into view, and live where they are seen. */

const STATES = ['idle', 'thinking', 'executing', 'waiting', 'completed', 'failed'];
const SORTS: Record<RunSort, string> = { newest: 'Newest', age: 'Longest in its state', cost: 'Cost', steps: 'Steps' };
const ROW = 38;
/** So long after a fault, or after others came or went, what is in view is asked for again, milliseconds. */
const AGAIN_MS = 1_500;

export function Runs({ query }: { query: URLSearchParams }) {
  const text = query.get('q') ?? '';
  const state = query.get('state');
  const needs = query.get('needs') !== null;
  const sort = (query.get('sort') ?? 'newest') as RunSort;
  const list = useRunList({ text, states: state === null ? [] : [state], needs, sort });
  return (
    <div className="view view-fill">
      <div className="view-head">
        <h1 className="view-title">Runs</h1>
        <input
          type="search"
          className="search"
          aria-label="Search runs by id, agent, user, state or node"
          placeholder="Id, agent, user, state, node"
          defaultValue={text}
          onChange={(event) => setQuery({ q: event.target.value })}
        />
        <label className="sort">
          <span>Sort</span>
          <select
            value={sort}
            onChange={(event) => setQuery({ sort: event.target.value === 'newest' ? null : event.target.value })}
          >
            {Object.entries(SORTS).map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <fieldset className="filters">
        <legend className="sr">States</legend>
        <Filter
          name="All"
          on={state === null && !needs}
          n={sum(list.page?.counts)}
          choose={() => setQuery({ state: null, needs: null })}
        />
        {STATES.map((one) => (
          <Filter
            key={one}
            name={one}
            state={one}
            on={state === one}
            n={list.page?.counts[one] ?? 0}
            choose={() => setQuery({ state: state === one ? null : one, needs: null })}
          />
        ))}
        <Filter
          name="Need a person"
          on={needs}
          n={list.page?.needs ?? 0}
          choose={() => setQuery({ needs: needs ? null : '1', state: null })}
        />
      </fieldset>
      {list.fault !== null && list.page === null && <FaultBox fault={list.fault} retry={list.again} />}
      {list.fault === null && list.page === null && <Loading what="the runs" />}
      {list.page !== null && list.page.total === 0 && (
        <Empty title={text !== '' || state !== null || needs ? 'No run matches' : 'No run yet'}>
          {text !== '' || state !== null || needs ? (
            <button type="button" className="button" onClick={() => go('/runs')}>
              Show all runs
            </button>
          ) : (
            <>
              Hand one in: <code>proctor submit examples/tasks/first.json</code>
            </>
          )}
        </Empty>
      )}
      {list.page !== null && list.page.total > 0 && <Table list={list} total={list.page.total} />}
    </div>
  );
}

const sum = (counts: Record<string, number> | undefined) =>
  Object.values(counts ?? {}).reduce((total, n) => total + n, 0);

function Filter({
  name,
  state,
  on,
  n,
  choose,
}: {
  name: string;
  state?: string;
  on: boolean;
  n: number;
  choose: () => void;
}) {
  return (
    <button type="button" className={`filter ${on ? 'chosen' : ''}`} aria-pressed={on} onClick={choose}>
      {state !== undefined && <StateMark state={state} />}
      {name} <span className="num dim">{count(n)}</span>
    </button>
  );
}

interface RunList {
  page: RunPage | null;
  fault: Fault | null;
  row(index: number): RunRow | undefined;
  need(from: number, to: number): void;
  again(): void;
}

function useRunList(filter: Pick<RunQuery, 'text' | 'states' | 'needs' | 'sort'>): RunList {
  const [page, setPage] = useState<RunPage | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const [rows] = useState(() => new RunRows());
  const [failures, setFailures] = useState(0);
  const [, redraw] = useState(0);
  const key = JSON.stringify(filter);

  const ask = useCallback(
    (pages: number[]) => {
      for (const offset of pages) {
        const query = { ...(JSON.parse(key) as typeof filter), offset, limit: PAGE };
        post<RunPage>('/api/runs/query', query).then(
          (answer) => {
            if (!rows.take(key, offset, answer.rows)) return;
            setFault(null);
            setPage(answer);
          },
          (thrown: unknown) => {
            if (!rows.fail(key, offset)) return;
            setFault(faultOf(thrown));
            // Not at once: whoever does not answer would be asked as fast as it refuses.
            setFailures((n) => n + 1);
          },
        );
      }
    },
    [key, rows],
  );
  const again = useCallback(() => ask(rows.again()), [ask, rows]);
  useEffect(() => {
    rows.filterBy(key);
    const timer = setTimeout(() => ask(rows.restart()), 120);
    return () => clearTimeout(timer);
  }, [key, rows, ask]);
  useEffect(() => {
    if (failures === 0) return;
    const timer = setTimeout(() => ask(rows.retry()), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [failures, ask, rows]);
  // Rows in view change in place; when others came or went, what is in view is read again.
  useEffect(() => {
    let timer = 0;
    const end = live.on('runs', (data) => {
      if (rows.change(data.rows)) redraw((n) => n + 1);
      if (timer === 0) {
        timer = window.setTimeout(() => {
          timer = 0;
          again();
        }, AGAIN_MS);
      }
    });
    // Also while none is shown: the first that comes is to be seen.
    const want = {};
    live.want(want, { list: true });
    return () => {
      clearTimeout(timer);
      end();
      live.unwant(want);
    };
  }, [rows, again]);
  return {
    page,
    fault,
    row: (index) => rows.at(index),
    need: (from, to) => ask(rows.show(from, to)),
    again,
  };
}

function Table({ list, total }: { list: RunList; total: number }) {
  const parent = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => parent.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const [from, to] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  const { need } = list;
  useEffect(() => need(from, to));
  const seen = items.flatMap(({ index }) => list.row(index)?.run ?? []).join();
  useEffect(() => {
    const key = {};
    live.want(key, { runs: seen === '' ? [] : seen.split(',') });
    return () => live.unwant(key);
  }, [seen]);
  return (
    <div className="runs" role="table" aria-label="Runs" aria-rowcount={total}>
      <div className="runs-head" role="row">
        {['State', 'Run', 'Agent', 'User', 'Steps', 'Cost', 'In state'].map((name) => (
          <span key={name} role="columnheader" className={`col-${name.toLowerCase().replace(' ', '-')}`}>
            {name}
          </span>
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div className="runs-body" ref={parent} tabIndex={0} role="rowgroup" aria-label="Rows">
        <div className="runs-all" style={{ height: virtual.getTotalSize() }}>
          {items.map(({ index, start }) => {
            const row = list.row(index);
            return (
              <div
                key={row?.run ?? index}
                role="row"
                aria-rowindex={index + 1}
                className="run-row"
                style={{ transform: `translateY(${start}px)` }}
              >
                {row === undefined ? (
                  <span role="cell" className="dim">
                    …
                  </span>
                ) : (
                  <Row row={row} />
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

const Row = memo(function Row({ row }: { row: RunRow }) {
  return (
    <>
      <span role="cell" className="col-state">
        <StateName state={row.state} />
      </span>
      <span role="cell" className="col-run">
        <Link to={`/runs/${row.run}`} className="mono run-link">
          {row.run}
        </Link>
        {row.requires !== null && <span className="run-note tone-warn">{asked(row)}</span>}
        {row.requires === null && row.error !== null && <span className="run-note tone-bad">{row.error}</span>}
      </span>
      <span role="cell" className="col-agent clip">
        {row.agent}
      </span>
      <span role="cell" className="col-user clip dim">
        {row.user}
      </span>
      <span role="cell" className="col-steps num">
        {row.step}
        {row.progress !== null && row.progress < 100 && <span className="dim"> · {Math.round(row.progress)} %</span>}
      </span>
      <span role="cell" className="col-cost num">
        {usd(row.cost_usd)}
      </span>
      <span role="cell" className="col-in-state num dim">
        <When at={row.since} ago={false} />
      </span>
    </>
  );
});
