import { useState } from 'react';
import type { DeadLetter, DeadLetterBody, Fault } from '../../wire.ts';
import { faultOf, post } from '../lib/api.ts';
import { useGet } from '../lib/use.ts';
import { Empty, Facts, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';

export function DeadLetters({ chosen }: { chosen: string | null }) {
  const { data, fault, reload } = useGet<DeadLetter[]>('/api/dead-letters', 10_000);
  return (
    <div className="view">
      <h1 className="view-title">Dead letters</h1>
      {fault !== null && <FaultBox fault={fault} retry={reload} />}
      {data === null && fault === null && <Loading what="the dead letters" />}
      {data?.length === 0 && (
        <Empty title="None">Messages that could not be worked on are kept here, each with what was wrong.</Empty>
      )}
      {data !== null && data.length > 0 && (
        <Panel title={`${data.length} kept`} aside={<span className="dim">newest first</span>}>
          <ul className="rows">
            {data.toReversed().map((letter) => (
              <li key={letter.id}>
                <Link
                  to={`/dead-letters/${encodeURIComponent(letter.id)}`}
                  className={`row ${letter.id === chosen ? 'chosen' : ''}`}
                >
                  <Tag tone="bad">{letter.code}</Tag>
                  <span className="row-main">
                    {letter.field !== undefined && <code>{letter.field}</code>} {letter.message}
                  </span>
                  <span className="dim mono clip">{letter.subject}</span>
                  <When at={letter.at} />
                </Link>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {chosen !== null && <Letter key={chosen} id={chosen} reload={reload} />}
    </div>
  );
}

function Letter({ id, reload }: { id: string; reload: () => void }) {
  const { data, fault } = useGet<DeadLetterBody>(`/api/dead-letters/${encodeURIComponent(id)}`);
  const may = useMay('operator');
  const [told, setTold] = useState<string | Fault | null>(null);
  if (fault !== null) return <FaultBox fault={fault} />;
  if (data === null) return <Loading what="the letter" />;
  const again = () =>
    post<{ subject: string }>('/api/dead-letters/retry', { id }).then(
      ({ subject }) => {
        setTold(`Published once more on ${subject}.`);
        reload();
      },
      (thrown: unknown) => setTold(faultOf(thrown)),
    );
  return (
    <Panel
      title={id}
      aside={
        may && (
          <button type="button" className="button small" onClick={again}>
            Publish it once more
          </button>
        )
      }
    >
      {told !== null && (
        <p role="status" className="note">
          {typeof told === 'string' ? told : told.message}
        </p>
      )}
      <Facts
        of={[
          ['Subject', <code key="s">{data.subject}</code>],
          ['What was wrong', data.message],
          ['Size', `${data.bytes} bytes`],
        ]}
      />
      <pre className="pre">{data.body}</pre>
    </Panel>
  );
}
