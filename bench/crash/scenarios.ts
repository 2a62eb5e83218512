import type { FaultPoint } from '../../src/runtime/fault-points.ts';

/** The kinds of runs that the drill makes: together they lead to every fault point. */
export interface Scenario {
  agent: 'plan' | 'script';
  /** The task, without its identity. */
  task(now: number): Record<string, unknown>;
  /** All its effects are idempotent: its trace must be that of an undisturbed run. */
  exact: boolean;
  /** Published a second time under the same key. */
  keyed?: boolean;
  /** Hears from an operator again and again while it works; what it hears changes nothing. */
  nudged?: boolean;
  /** Cancelled when it asks a person. */
  cancelled?: boolean;
}

const step = (id: string, tool: string, after: string[] = []) => ({ id, tool, args: { label: id }, after });
const script = (...moves: string[]) => ({ input: { moves } });
const four = ['remote_idem', 'local_idem', 'remote_idem', 'local_idem'];

export const SCENARIOS = {
  parallel: {
    agent: 'plan',
    exact: true,
    task: () => ({
      input: 'parallel',
      plan: {
        steps: [
          step('a', 'remote_idem'),
          step('b', 'local_idem'),
          { ...step('c', 'remote_idem', ['a', 'b']), args: { label: 'c', from: { $ref: 'a', query: 'label' } } },
          step('d', 'remote_idem', ['c']),
          step('e', 'local_idem', ['c']),
        ],
        answer: { all: [{ $ref: 'd' }, { $ref: 'e' }] },
      },
    }),
  },
  long: { agent: 'script', exact: true, task: () => script(...four, ...four) },
  keyed: { agent: 'script', exact: true, keyed: true, task: () => script('remote_idem', 'local_idem') },
  delegate: { agent: 'script', exact: true, task: () => script('local_idem', 'delegate', 'remote_idem') },
  ask: { agent: 'script', exact: true, task: () => script('remote_idem', 'ask', 'local_idem') },
  later: {
    agent: 'script',
    exact: true,
    task: (now) => ({ ...script('remote_idem', 'local_idem'), not_before: new Date(now + 400).toISOString() }),
  },
  nudged: {
    agent: 'script',
    exact: true,
    nudged: true,
    task: () => script('remote_idem@150', 'local_idem@150', 'remote_idem@150', 'local_idem'),
  },
  cancelled: { agent: 'script', exact: true, cancelled: true, task: () => script('remote_idem', 'ask', 'local_idem') },
  once_remote: { agent: 'script', exact: false, task: () => script('remote_once', 'remote_idem', 'remote_once') },
  once_local: {
    agent: 'plan',
    exact: false,
    task: () => ({
      input: 'once',
      plan: { steps: [step('a', 'local_once'), step('b', 'remote_once'), step('c', 'local_once', ['a', 'b'])] },
    }),
  },
} satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[];

export function scenario(name: ScenarioName): Scenario {
  return SCENARIOS[name];
}

/** Runs that are sure to reach a point. */
export function leadsTo(point: FaultPoint): ScenarioName[] {
  if (point.startsWith('delegate.')) return ['delegate'];
  if (point === 'intake.key_written') return ['keyed'];
  if (point.startsWith('park.')) return ['delegate', 'later', 'ask'];
  if (point === 'inbox.journalled') return ['nudged'];
  if (point.startsWith('inbox.')) return ['delegate', 'ask', 'later'];
  if (point === 'call.started') return ['once_remote', 'once_local'];
  return ['long', 'parallel'];
}
