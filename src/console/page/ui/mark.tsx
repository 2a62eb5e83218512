import { topOf } from '../lib/format.ts';

/** The six states, each with a shape of its own: they read without colour. */
const SHAPES: Record<string, string> = {
  idle: 'M8 3.2a4.8 4.8 0 1 0 0 9.6a4.8 4.8 0 0 0 0-9.6z',
  thinking: 'M8 1.8L14.2 8L8 14.2L1.8 8z',
  executing: 'M4 2.4L13.6 8L4 13.6z',
  waiting: 'M3.6 2.6h3.2v10.8H3.6zM9.2 2.6h3.2v10.8H9.2z',
  completed: 'M2.6 8.4L6.4 12.2L13.6 4.2',
  failed: 'M3.4 3.4L12.6 12.6M12.6 3.4L3.4 12.6',
};
const LINES = new Set(['idle', 'completed', 'failed']);

export function StateMark({ state, size = 12 }: { state: string; size?: number }) {
  const top = topOf(state);
  return (
    <svg
      className={`mark st-${top} ${LINES.has(top) ? 'mark-line' : ''}`}
      viewBox="0 0 16 16"
      width={size}
      height={size}
      aria-hidden="true"
    >
      <path d={SHAPES[top] ?? SHAPES.idle} />
    </svg>
  );
}

/** `waiting.person` as `waiting` with what it waits for beside it. */
export function StateName({ state }: { state: string }) {
  const [top = '', ...rest] = state.split('.');
  return (
    <span className={`state st-${topOf(state)}`}>
      <StateMark state={state} />
      <span className="state-top">{top}</span>
      {rest.length > 0 && <span className="state-sub">{rest.join('.').replaceAll('_', ' ')}</span>}
    </span>
  );
}
