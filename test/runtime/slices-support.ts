import { scripted } from '../../src/adapters/model/scripted.ts';
import type { AgentDefinition } from '../../src/core/agent.ts';
import type { Usage } from '../../src/core/decision.ts';
import { LedgerEntry, type LedgerEntryOf } from '../../src/core/ledger-wire.ts';
import type { QuotasInput } from '../../src/core/quotas.ts';
import type { Model, ThinkInput } from '../../src/ports/model.ts';
import { Cluster, type TestNode } from './support.ts';

/** A token costs 1,000 nanos; a call is estimated at somewhat more than 2,000 tokens. */
export const PRICE = { model: 'paid', from: '2020-01-01', input: 1, output: 1 };
/** Room for slices of eight, and for all that a test spends. */
export const WIDE: QuotasInput = { users: { '*': { day: { usd: 10 } } } };
export const used = (tokens: number): Usage => ({ input_tokens: tokens, output_tokens: 0, cost_usd: tokens / 1e6 });
export const answer = { action: 'final_answer', answer: 'done' } as const;
export const toolCall = (n: number, tool = 'echo') =>
  ({ action: 'tool_call', calls: [{ tool, args: { n } }] }) as const;

/** A cluster whose agent `a` asks a model that costs something, and what its calls really used. */
export class PayingCluster extends Cluster {
  /** Of every call that was begun, whatever became of it, tokens. */
  readonly asked: number[] = [];

  constructor(decide: (input: ThinkInput) => unknown, ...agents: Partial<AgentDefinition>[]) {
    super({ name: 'a', model: 'paid', limits: { output_tokens_per_step: 1_000 } as never }, ...agents);
    this.prices = [PRICE];
    this.modelMap.paid = this.paying(decide);
  }

  /** A model whose n-th call uses n tokens more than 500, and is counted when it begins. */
  paying(decide: (input: ThinkInput) => unknown): Model {
    return {
      think: async (input) => {
        const tokens = 500 + this.asked.length;
        this.asked.push(tokens);
        return scripted((await decide(input)) as never, used(tokens));
      },
    };
  }

  get askedTokens(): number {
    return this.asked.reduce((sum, tokens) => sum + tokens, 0);
  }

  ledger(): Promise<LedgerEntry[]> {
    return this.last('LEDGER', '>', (text) => LedgerEntry.parse(JSON.parse(text)));
  }

  async reserved(): Promise<LedgerEntryOf<'reserve'>[]> {
    return (await this.ledger()).filter((entry) => entry.kind === 'reserve');
  }

  /** What the day of the user bears, as a node knows it. */
  account({ deps }: Pick<TestNode, 'deps'>, at = this.clock.now()) {
    return deps.ledger.ledger.accounts.read({ scope: 'user:u', period: 'day' }, at);
  }

  order(run: string, kind: string, body: object = {}): Promise<unknown> {
    const subject = this.subjects.inbox({ run, kind: kind as never, id: `x${this.asked.length}` });
    return this.client.publish(subject, JSON.stringify({ v: 1, by: 'op', why: 'test', ...body }));
  }
}

/** A promise and what resolves it. */
export function gate(): { open: () => void; passed: Promise<void> } {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}
