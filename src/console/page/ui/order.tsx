import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import type { Fault } from '../../wire.ts';
import { faultOf } from '../lib/api.ts';

/** A dialogue in which a person gives an order: with the reason, and for the grave ones with a word typed once more. */

export interface OrderProps {
  title: string;
  /** What will happen, in a sentence. */
  children: ReactNode;
  action: string;
  danger?: boolean;
  /** Must be typed before it can be done. */
  confirm?: string;
  run: (why: string, typed: string) => Promise<ReactNode>;
  close: () => void;
}

export function OrderDialog({ title, children, action, danger = false, confirm, run, close }: OrderProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [why, setWhy] = useState('');
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const [done, setDone] = useState<ReactNode>(null);
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  const ready = why.trim() !== '' && (confirm === undefined || typed === confirm) && !busy;
  const submit = async () => {
    setBusy(true);
    setFault(null);
    try {
      setDone(await run(why.trim(), typed));
    } catch (thrown) {
      setFault(faultOf(thrown));
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog ref={ref} className="dialog" aria-labelledby={`${id}-title`} onClose={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) void submit();
        }}
      >
        <h2 id={`${id}-title`}>{title}</h2>
        {done !== null ? (
          <>
            <div role="status">{done}</div>
            <div className="dialog-buttons">
              <button type="button" className="button primary" onClick={() => ref.current?.close()}>
                Close
              </button>
            </div>
          </>
        ) : (
          <>
            <div className="dialog-text">{children}</div>
            <label htmlFor={`${id}-why`}>Why (kept in the journal, with your name)</label>
            <textarea
              id={`${id}-why`}
              rows={2}
              maxLength={1024}
              value={why}
              onChange={(event) => setWhy(event.target.value)}
              required
            />
            {confirm !== undefined && (
              <>
                <label htmlFor={`${id}-confirm`}>
                  Type <code>{confirm}</code> to confirm
                </label>
                <input
                  id={`${id}-confirm`}
                  autoComplete="off"
                  spellCheck={false}
                  value={typed}
                  onChange={(event) => setTyped(event.target.value)}
                />
              </>
            )}
            {fault !== null && (
              <p role="alert" className="tone-bad">
                {fault.message}
              </p>
            )}
            <div className="dialog-buttons">
              <button type="button" className="button" onClick={() => ref.current?.close()}>
                Leave it
              </button>
              <button type="submit" className={`button ${danger ? 'danger' : 'primary'}`} disabled={!ready}>
                {busy ? 'Working…' : action}
              </button>
            </div>
          </>
        )}
      </form>
    </dialog>
  );
}
