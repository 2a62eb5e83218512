import { type Command, Option } from 'commander';
import { callId, runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { Ended } from './failure.ts';
import { paintFor, pretty } from './format.ts';
import type { Io } from './io.ts';
import { personOf, resultText } from './result-view.ts';

interface ResultOptions extends CommonOptions {
  wait?: boolean;
  call?: string;
}

export function addResult(program: Command, io: Io): void {
  addRemoteCommand(program, 'result', {
    summary: 'how a run ended; fails when the run failed',
    description:
      'How a run ended, and what a person answered in its place; fails when the run failed. With --call all that one of its calls brought, up to 32 MB: a text as it is, anything else as JSON.',
    examples: [
      'proctor result 20260101-abc-1',
      'proctor result 20260101-abc-1 --wait --json',
      'proctor result 20260101-abc-1 --call 2-0 > rows.json',
    ],
  })
    .argument('<run>', 'run id', runId)
    .option('--wait', 'wait for the end')
    .addOption(
      new Option('--call <call>', 'print the result of this call instead (proctor trace shows their ids)')
        .argParser(callId)
        .conflicts('wait'),
    )
    .action(async (run: string, options: ResultOptions) => {
      if (options.call !== undefined) return tellCall(io, run, options.call, options);
      const { result, person } = await withOperator(options, async (operator) => {
        const result = await operator.result(run, { wait: options.wait === true });
        return { result, person: await personOf(operator, result) };
      });
      const all = person === null ? result : { ...result, person };
      io.out(options.json === true ? JSON.stringify(all) : resultText(result, paintFor(io), person));
      if (result.status === 'failed') throw new Ended(1);
    });
}

async function tellCall(io: Io, run: string, call: string, options: CommonOptions): Promise<void> {
  const result = await withOperator(options, (operator) => operator.callResult(run, call));
  if (options.json === true) io.out(JSON.stringify(result));
  // A terminal must not be told what to do by a text; a file gets it as it is.
  else io.out(typeof result === 'string' && !io.outIsTty ? result : pretty(result));
}
