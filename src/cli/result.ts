import type { Command } from 'commander';
import { runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { Ended } from './failure.ts';
import { paintFor } from './format.ts';
import type { Io } from './io.ts';
import { resultText } from './result-view.ts';

interface ResultOptions extends CommonOptions {
  wait?: boolean;
}

export function addResult(program: Command, io: Io): void {
  addRemoteCommand(program, 'result', {
    summary: 'how a run ended; fails when the run failed',
    examples: ['proctor result 20260101-abc-1', 'proctor result 20260101-abc-1 --wait --json'],
  })
    .argument('<run>', 'run id', runId)
    .option('--wait', 'wait for the end')
    .action(async (run: string, options: ResultOptions) => {
      const result = await withOperator(options, (operator) => operator.result(run, { wait: options.wait === true }));
      io.out(options.json === true ? JSON.stringify(result) : resultText(result, paintFor(io)));
      if (result.status === 'failed') throw new Ended(1);
    });
}
