import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { trustAll } from '../../bench/support/trusting.ts';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { newNkey, nkeySignatures, nkeySigner } from '../../src/adapters/nkeys/signing.ts';
import { connectBus } from '../../src/app/connect.ts';
import type { NatsBus } from '../../src/app/local.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import type { RunEvent } from '../../src/core/events.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type Approver, createApprover } from '../../src/worker/approver.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import type { WorkerTool } from '../../src/worker/worker-tool.ts';
import {
  builtCli,
  type Cli,
  eventually,
  type Folder,
  type Ran,
  type Running,
  temporaryFolder,
} from '../cli/support.ts';
import { silent } from '../runtime/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { tool } from './support.ts';

/** Real nodes on a real server, for what users saw when processes died; the worker and the users live in the test. */
export interface Place {
  readonly server: NatsServer;
  readonly client: Client;
  readonly operator: Operator;
  /** A node as a process; resolves when it takes runs. */
  startNode(): Promise<Running>;
  /** `kill -9`, and waits until it is gone. */
  kill9(node: Running): Promise<void>;
  /** A command of a user's, as a process. */
  proctor(...args: string[]): Promise<Ran>;
  /** One more who may decide about approvals. */
  approver(name: string): Promise<Approver>;
  events(run: string): Promise<RunEvent[]>;
  /** Resolves when that many nodes have taken the run, one after the other. */
  takenBy(run: string, nodes: number): Promise<void>;
  stop(): Promise<void>;
}

/** A dead node's runs go on elsewhere after this long. */
const LEASE = '1s';

/** @param agents definitions as in agent files */
export async function startPlace(tools: WorkerTool[], agents: object[] = []): Promise<Place> {
  const [cli, server, folder]: [Cli, NatsServer, Folder] = await Promise.all([
    builtCli(),
    startNatsServer(),
    temporaryFolder(),
  ]);
  const subjects = new Subjects();
  const clock = systemClock();
  const env = { NATS_URL: server.url };
  for (const [i, agent] of agents.entries()) await writeFile(join(folder.dir, `${i}.yaml`), JSON.stringify(agent));
  const bus: NatsBus = await connectBus({ url: server.url }, 'test', subjects, silent);
  const operator = createOperator({ bus, subjects, by: 'olga' });
  const worker: Worker = await serveTools({ bus, subjects, clock, log: silent, id: 'w', tools });

  const events = async (run: string) => {
    const found: RunEvent[] = [];
    for await (const entry of operator.journal(run)) found.push(...entry.events);
    return found;
  };

  return {
    server,
    client: createClient({ bus, subjects, user: 'default' }),
    operator,
    async startNode() {
      const given = agents.length === 0 ? [] : ['--agents', folder.dir];
      const node = cli.start(['supervisor', '--lease', LEASE, '--log-level', 'error', ...given], { env });
      await node.says('has joined');
      await trustAll(operator);
      return node;
    },
    async kill9(node) {
      node.child.kill('SIGKILL');
      await node.ended;
    },
    proctor: (...args) => cli.run(args, { env }),
    async approver(name) {
      const signer = nkeySigner(newNkey().seed);
      await operator.putApprover({ name, public_key: signer.publicKey, groups: ['approvers'], users: [] });
      return createApprover({ bus, subjects, clock, signatures: nkeySignatures, as: { name, signer } });
    },
    events,
    async takenBy(run, nodes) {
      await eventually(`owner ${nodes}`, async () => {
        const told = await events(run).catch(() => []);
        return told.filter(({ type }) => type === 'claimed').length >= nodes;
      });
    },
    async stop() {
      await worker.stop();
      await bus.close();
      await cli.clean();
      await server.stop();
      await folder.remove();
    },
  };
}

/** The steps of a plan, each after the one before. */
export function inOrder(...tools: string[]) {
  const steps = tools.map((tool, i) => ({ id: `s${i}`, tool, args: { i }, after: i === 0 ? [] : [`s${i - 1}`] }));
  return { input: 'x', plan: { steps } };
}

/** Counts what handlers did, by tool and idempotency key, and holds calls up while it is told to. */
export class Deeds {
  private readonly counts = new Map<string, Map<string, number>>();
  private readonly waiting = new Set<() => void>();
  /** Whether a call does not come back: by its tool and its place in the plan. */
  holds: (tool: string, i: number) => boolean = () => false;

  /** A tool that notes its calls, and says its name. */
  tool(name: string, more: { idempotent?: boolean; requiresApproval?: boolean } = {}): WorkerTool {
    return tool(
      name,
      async ({ i }, { idempotencyKey: key, signal }) => {
        const keys = this.counts.get(name) ?? new Map<string, number>();
        this.counts.set(name, keys.set(key, (keys.get(key) ?? 0) + 1));
        if (!this.holds(name, Number(i))) return name;
        await new Promise<void>((resolve) => {
          this.waiting.add(resolve);
          signal.addEventListener('abort', () => resolve());
        });
        return name;
      },
      more,
    );
  }

  /** Calls that a handler saw, tries of one call counted once. */
  different(tool: string): number {
    return this.counts.get(tool)?.size ?? 0;
  }

  /** All that a handler saw. */
  all(tool: string): number {
    return [...(this.counts.get(tool)?.values() ?? [])].reduce((sum, count) => sum + count, 0);
  }

  /** Lets those go that are held up, and holds up others from now on. */
  release(holds: (tool: string, i: number) => boolean = () => false): void {
    this.holds = holds;
    for (const go of this.waiting) go();
    this.waiting.clear();
  }
}
