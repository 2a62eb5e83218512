import { text } from '../lib/format.ts';
import { useGet } from '../lib/use.ts';
import { FaultBox, Loading } from '../ui/bits.tsx';

/** One entry of the journal as it is stored, without secrets. */
export function Raw({ run, n }: { run: string; n: number }) {
  const { data, fault } = useGet<unknown>(`/api/runs/${run}/journal?n=${n}`);
  if (fault !== null) return <FaultBox fault={fault} />;
  if (data === null) return <Loading what={`entry ${n}`} />;
  return <pre className="pre">{text(data)}</pre>;
}
