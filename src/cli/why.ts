import type { Command } from 'commander';
import type { Why } from '../core/why.ts';
import { runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withClient, withOperator } from './connect.ts';
import { Ended, EXIT } from './failure.ts';
import { line } from './format.ts';
import type { Io } from './io.ts';

export function addWhy(program: Command, io: Io): void {
  addRemoteCommand(program, 'why', {
    summary: 'in one line: what a run waits for, since when, until when, and who can unblock it',
    description:
      'Says in one line what a run waits for, since when, until when, and who can unblock it. Exits 1 when nothing will ever move it: no node, no queued work and no stored wake-up.',
    examples: ['proctor why 20260101-abc-1', 'proctor why 20260101-abc-1 --user alice --json'],
  })
    .argument('<run>', 'run id', runId)
    .option('--user <name>', 'as this submitter, a run of its own (default: as operator)')
    .action(async (run: string, options: CommonOptions & { user?: string }) => {
      const { user } = options;
      const ask = (client: { why(run: string): Promise<Why> }) => client.why(run);
      const why = await (user === undefined ? withOperator(options, ask) : withClient({ ...options, user }, ask));
      io.out(options.json === true ? JSON.stringify(why) : line(why.text));
      if (why.orphaned) throw new Ended(EXIT.failed);
    });
}
