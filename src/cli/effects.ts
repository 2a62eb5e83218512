import type { Command } from 'commander';
import type { EffectReport, ReportedEffect } from '../client/effects.ts';
import { callId, runId } from './arguments.ts';
import { addOrder, addRemoteCommand, type CommonOptions, type OrderOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { line, moment, preview } from './format.ts';
import type { Io } from './io.ts';
import { table } from './table.ts';

/** After a kill or a failure: what was really done in the world, and what makes up for it. */

const STATES: Record<ReportedEffect['state'], string> = {
  done: 'took effect',
  open: 'may have',
  working: 'under way',
  failed: 'failed',
  not_made: 'not made',
};

export function addEffects(program: Command, io: Io): void {
  addRemoteCommand(program, 'effects <run>', {
    summary: 'what a run, and all that it delegated to, really did in the world',
    description:
      'Lists the calls that change something and took effect, may have taken effect, or are under way; calls of tools that only read are left out. It comes from the journals, so it is right after a kill, a crash or a failure too. --all also lists those that failed or were not made.',
    examples: ['proctor effects 20260101-abc-1', 'proctor effects 20260101-abc-1 --all --json'],
  })
    .option('--all', 'also calls that failed, or were refused, denied or cut off before they were made')
    .action(async (run: string, options: CommonOptions & { all?: boolean }) => {
      const report = await withOperator(options, (operator) => operator.effects(runId(run)));
      const shown = report.effects.filter(
        ({ state }) => options.all === true || !['failed', 'not_made'].includes(state),
      );
      if (options.json === true) return io.out(JSON.stringify({ ...report, effects: shown }));
      show(io, report, shown);
    });
  addOrder(program, 'compensate <run> <call>', {
    summary: 'start the call that makes up for one that took effect, as its tool declares it',
    description:
      'Hands in the compensating call that the tool declares, with arguments from the call that took effect and its result, as a new run for the same user. It goes through all gates, also approvals. Twice is one run.',
    examples: ['proctor compensate 20260101-abc-1 4-0 --why "wrong customer"'],
  }).action(async (run: string, call: string, options: OrderOptions) => {
    const done = await withOperator(options, (operator) => operator.compensate(runId(run), callId(call), options.why));
    io.out(options.json === true ? JSON.stringify(done) : `run ${done.run} makes up for call ${call} of ${run}`);
  });
}

function show(io: Io, { run, ended, effects }: EffectReport, shown: ReportedEffect[]): void {
  if (shown.length === 0) {
    io.out(
      effects.length === 0
        ? `Run ${run} has asked for nothing that changes anything.`
        : `Nothing of what run ${run} asked for took effect.`,
    );
  } else {
    const rows = shown.map((one) => [
      one.run,
      one.c,
      line(one.tool),
      STATES[one.state],
      moment(one.at),
      preview(one.args, 60),
      preview(one.state === 'done' ? (one.result ?? null) : (one.why ?? ''), 60),
    ]);
    io.out(table(io, ['run', 'call', 'tool', 'effect', 'at', 'arguments', 'result, or what is known'], rows));
  }
  if (!ended) io.err('A run of these is still at work: there may be more to come.');
  const open = shown.filter(({ state }) => state === 'open').length;
  if (open > 0) io.err(`Of ${open} nobody knows whether they took effect: look in the systems that they were about.`);
}
