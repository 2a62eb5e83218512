import type { Command } from 'commander';
import { readTaskFile } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withClient } from './connect.ts';
import { Ended } from './failure.ts';
import { paintFor } from './format.ts';
import type { Io } from './io.ts';
import { follow } from './progress.ts';
import { resultText } from './result-view.ts';

interface SubmitOptions extends CommonOptions {
  agent: string;
  user: string;
  wait?: boolean;
}

export function addSubmit(program: Command, io: Io): void {
  addRemoteCommand(program, 'submit <file>', {
    summary: 'hand in a task; prints the id of its run',
    description: 'Hands in the task in a JSON file (- for stdin) and prints the id of its run.',
    examples: [
      'proctor submit examples/tasks/first.json --wait',
      'proctor submit task.json --agent plan --user alice',
      `echo '{"input":"x","plan":{"steps":[{"id":"s","tool":"current_time"}]}}' | proctor submit - --wait --json`,
    ],
  })
    .option('--agent <name>', 'agent that gets the task', 'plan')
    .option('--user <name>', 'user who submits it', 'default')
    .option('--wait', 'wait for the end: prints the result, and fails when the run failed')
    .action((file: string, options: SubmitOptions) => submit(io, file, options));
}

async function submit(io: Io, file: string, options: SubmitOptions): Promise<void> {
  const task = await readTaskFile(file);
  await withClient(options, async (client) => {
    const { run, seq } = await client.submit(task as Parameters<typeof client.submit>[0], options.agent);
    if (options.wait !== true) {
      io.out(options.json === true ? JSON.stringify({ run, seq }) : run);
      return;
    }
    io.err(`run ${run}`);
    const result = await follow(io, client, run);
    io.out(options.json === true ? JSON.stringify(result) : resultText(result, paintFor(io), null));
    if (result.status === 'failed') throw new Ended(1);
  });
}
