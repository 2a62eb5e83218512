import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectBus } from '../../src/app.ts';
import type { LedgerEntry } from '../../src/core/ledger-wire.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { silent } from '../runtime/support.ts';
import { builtCli, type Cli, eventually, type Folder, type Ran, temporaryFolder } from './support.ts';

/** Breakers and budgets from the command line, against one `proctor up`. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let dir: string;
const rule = { failures: 2, open_ms: 3_600_000, successes: 2 };

beforeAll(async () => {
  [cli, folder] = await Promise.all([builtCli(), temporaryFolder()]);
  dir = join(folder.dir, 'data');
  await cli.start(['up', '--dir', dir, '--port', '0', '--name', 'one']).says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

/** As a node would. */
async function told(...entries: LedgerEntry[]): Promise<void> {
  const subjects = new Subjects();
  const { url } = JSON.parse(await readFile(join(dir, 'connection.json'), 'utf8')) as { url: string };
  const nkeySeed = (await readFile(join(dir, 'keys', 'node.nk'), 'utf8')).trim();
  const bus = await connectBus({ url, nkeySeed }, 'test', subjects, silent);
  for (const [i, entry] of entries.entries()) {
    await bus.publish(subjects.ledgerEntry(entry.kind, `t${i}`), JSON.stringify(entry));
  }
  await bus.close();
}

describe('proctor breakers', () => {
  it('lists what is open, closes it with a reason, and names what it does not know', async () => {
    expect((await proctor('breakers', 'ls')).out).toBe('No breaker has seen a failure.\n');
    const failure = { v: 1, kind: 'outcome', target: 'tool:send_mail', ok: false, rule } as const;
    await told(failure, failure);
    const listed = await eventually('open', async () => {
      const { out } = await proctor('breakers', 'ls');
      return out.includes('open') && out;
    });
    expect(listed).toMatch(/tool:send_mail +open +nothing is sent until \S+/);
    expect((await proctor('breakers', 'reset', 'tool:send_mail')).code).toBe(2);
    const unknown = await proctor('breakers', 'reset', 'tool:post', '--reason', 'x');
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('there are: tool:send_mail')]);
    const reset = await proctor('breakers', 'reset', 'tool:send_mail', '--reason', 'it is back');
    expect([reset.code, reset.out]).toEqual([0, 'tool:send_mail is closed; what calls it is sent again\n']);
    await eventually('closed', async () => JSON.parse((await proctor('breakers', 'ls', '--json')).out).length === 0);
  });
});

describe('proctor budgets', () => {
  it('shows what is spent and held of each account', async () => {
    expect((await proctor('budgets')).out).toContain('Nothing was spent');
    const amount = { nanos: 2_000_000_000, tokens: 900, count: 0 };
    const reserve = (id: string) =>
      ({
        v: 1,
        kind: 'reserve',
        id,
        run: 'r',
        epoch: 1,
        until: Date.now() + 3_600_000,
        amount,
        accounts: [{ scope: 'user:alice', period: 'day', max_nanos: 10_000_000_000 }],
      }) satisfies LedgerEntry;
    await told(reserve('a'), reserve('b'), {
      v: 1,
      kind: 'settle',
      id: 'a',
      amount: { ...amount, nanos: 1_250_000_000 },
    });
    await eventually('the account, settled and held', async () => {
      const { out } = await proctor('budgets');
      return /user:alice +\d{4}-\d\d-\d\d +1\.25 USD +2 USD +900 +0/.test(out);
    });
  });
});
