import { type ReactNode, useCallback, useEffect, useState } from 'react';
import type { Fault, Me } from '../wire.ts';
import { actorAt } from './lib/actors.ts';
import { faultOf, post, whoAmI } from './lib/api.ts';
import { live, useConnection } from './lib/live.ts';
import { go, type Place, usePlace } from './lib/router.ts';
import { FaultBox, Link, Loading, When } from './ui/bits.tsx';
import { MeContext } from './ui/me.ts';
import { Actor } from './views/actor.tsx';
import { Agents } from './views/agents.tsx';
import { Approvals } from './views/approvals.tsx';
import { DeadLetters } from './views/dead-letters.tsx';
import { Login } from './views/login.tsx';
import { Nodes } from './views/nodes.tsx';
import { Overview } from './views/overview.tsx';
import { Queue } from './views/queue.tsx';
import { RunPage } from './views/run.tsx';
import { Runs } from './views/runs.tsx';
import { Switches } from './views/switches.tsx';
import { Tools } from './views/tools.tsx';
import { Tree } from './views/tree.tsx';

const VIEWS: { path: string; name: string; icon: string; show: (rest: string[], place: Place) => ReactNode }[] = [
  { path: '', name: 'Overview', icon: 'M2 9h4v5H2zM7 5h4v9H7zM12 2h2v12h-2z', show: () => <Overview /> },
  {
    path: 'runs',
    name: 'Runs',
    icon: 'M2 3h12v2H2zM2 7h12v2H2zM2 11h12v2H2z',
    show: ([run], { query }) =>
      run === undefined ? <Runs query={query} /> : <RunPage key={run} run={run} query={query} />,
  },
  {
    path: 'approvals',
    name: 'Approvals',
    icon: 'M8 1l6 2.4v4.2c0 3.6-2.500 6.300-6 7.400c-3.500-1.100-6-3.800-6-7.400V3.400zM7.200 10.600l4.200-4.600l-1.200-1.100l-3 3.300L5.600 6.700L4.500 7.900z',
    show: () => <Approvals />,
  },
  {
    path: 'queue',
    name: 'Queue',
    icon: 'M5 1a2.500 2.500 0 1 1 0 5a2.500 2.500 0 0 1 0-5zM1 12c0-3 1.800-4.800 4-4.800S9 9 9 12zM10.500 3H15v2h-4.500zM10.500 7H15v2h-4.500zM10.500 11H15v2h-4.500z',
    show: ([run]) => <Queue chosen={run ?? null} />,
  },
  {
    path: 'tree',
    name: 'Tree',
    icon: 'M1 1h6v4H4.800v2H9v2H4.800v3.200H9v2H3V5H1zM10 6h5v4h-5zM10 11.200h5v4h-5z',
    show: (rest) => {
      const at = actorAt(rest);
      return at === null ? <Tree /> : <Actor key={rest.join('/')} at={at} />;
    },
  },
  {
    path: 'nodes',
    name: 'Nodes',
    icon: 'M6 1h4v4H6zM1 11h4v4H1zM11 11h4v4h-4zM7.4 5h1.2v3H13v3h-1.2V9.2H4.2V11H3V8h4.4z',
    show: () => <Nodes />,
  },
  {
    path: 'switches',
    name: 'Kill switches',
    icon: 'M7 1h2v7H7zM4.2 3.4l1.2 1.4a4.4 4.4 0 1 0 5.2 0l1.2-1.4a6.2 6.2 0 1 1-7.6 0z',
    show: () => <Switches />,
  },
  {
    path: 'agents',
    name: 'Agents',
    icon: 'M8 1a3 3 0 1 1 0 6a3 3 0 0 1 0-6zM2 15c0-4 2.6-6.4 6-6.4s6 2.4 6 6.4z',
    show: ([name]) => <Agents chosen={name ?? null} />,
  },
  {
    path: 'tools',
    name: 'Tools',
    icon: 'M13.6 4.2a4 4 0 0 1-5.3 4.7L4 14l-2-2l5.1-4.3A4 4 0 0 1 11.800 2.4L9.6 4.6l.5 1.3l1.3.5z',
    show: ([name]) => <Tools chosen={name ?? null} />,
  },
  {
    path: 'dead-letters',
    name: 'Dead letters',
    icon: 'M1 3h14v10H1zM2.6 4.6v.6L8 9l5.4-3.800v-.6z',
    show: ([id]) => <DeadLetters chosen={id ?? null} />,
  },
];

export function App() {
  const [me, setMe] = useState<Me | null | undefined>(undefined);
  const [fault, setFault] = useState<Fault | null>(null);
  const ask = useCallback(async () => {
    try {
      setFault(null);
      setMe(await enter());
    } catch (thrown) {
      setFault(faultOf(thrown));
    }
  }, []);
  useEffect(() => void ask(), [ask]);
  useEffect(() => {
    if (me === null || me === undefined) return;
    live.start();
    return () => live.stop();
  }, [me]);
  if (fault !== null) return <FaultBox fault={fault} retry={ask} />;
  if (me === undefined) return <Loading what="who you are" />;
  if (me === null) return <Login done={ask} />;
  return (
    <MeContext value={me}>
      <Shell me={me} left={() => setMe(null)} />
    </MeContext>
  );
}

/** With the token of a login link, which works once, or the session that is there. */
async function enter(): Promise<Me | null> {
  const token = /^#login=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    history.replaceState(null, '', `${location.pathname}${location.search}`);
    await post('/api/login', { token }).catch(() => undefined);
  }
  return whoAmI();
}

function Shell({ me, left }: { me: Me; left: () => void }) {
  const place = usePlace();
  const [first = '', ...rest] = place.path;
  useEffect(() => {
    if (me.file !== null && first !== 'runs') go(`/runs/${me.file}`, 'replace');
  }, [me.file, first]);
  const view = VIEWS.find(({ path }) => path === first);
  useEffect(() => {
    document.title = `${rest[0] ?? view?.name ?? 'Not found'} · Proctor`;
  }, [rest[0], view]);
  const logOut = async () => {
    await post('/api/logout', {}).catch(() => undefined);
    left();
  };
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to content
      </a>
      <nav className="nav" aria-label="Views">
        <div className="brand">
          <img src="/icon.svg" alt="" width="22" height="22" />
          <span>Proctor</span>
        </div>
        {me.file === null && (
          <ul>
            {VIEWS.map(({ path, name, icon }) => (
              <li key={path}>
                <Link to={`/${path}`} className={`nav-item ${path === first ? 'chosen' : ''}`} label={name}>
                  <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">
                    <path d={icon} />
                  </svg>
                  <span>{name}</span>
                </Link>
              </li>
            ))}
          </ul>
        )}
        <div className="nav-foot">
          <Status file={me.file} />
          <div className="nav-me">
            <span title={`role ${me.role}`}>
              {me.name} <span className="dim">{me.role}</span>
            </span>
            <button type="button" className="quiet" onClick={logOut}>
              Log out
            </button>
          </div>
        </div>
      </nav>
      <main id="main" className="main" tabIndex={-1}>
        <Stale file={me.file} />
        {view?.show(rest, place) ?? (
          <FaultBox
            fault={{ code: 'not_found', message: 'There is no view at this address: choose one at the side.' }}
          />
        )}
      </main>
    </div>
  );
}

const STATES = { connecting: 'connecting', live: 'live', lost: 'disconnected', no_cluster: 'cluster away' };

function Status({ file }: { file: string | null }) {
  const { state } = useConnection();
  return (
    <div className={`link link-${state}`} role="status">
      <span className="link-dot" aria-hidden="true" />
      {file === null ? STATES[state] : 'a run from a file'}
    </div>
  );
}

function Stale({ file }: { file: string | null }) {
  const { state, since } = useConnection();
  if (file !== null || since === null || state === 'live' || state === 'connecting') return null;
  return (
    <div className="stale" role="alert">
      {state === 'lost' ? 'The console is out of reach' : 'The console has lost the NATS server'}: what is shown is of{' '}
      <When at={since} />. It is tried again all the time.
    </div>
  );
}
