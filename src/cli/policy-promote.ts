import { Argument, type Command } from 'commander';
import { AppError } from '../core/errors.ts';
import { AUTONOMY_LEVELS, type AutonomyLevel } from '../core/policy.ts';
import { addOrder, type OrderOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { line } from './format.ts';
import type { Io } from './io.ts';

/** One agent is trusted further, or less far, than before: the policy in force with that one line changed. */

interface PromoteOptions extends OrderOptions {
  running?: boolean;
}

export function addPromote(policy: Command, io: Io): void {
  addOrder(policy, 'promote <agent>', {
    summary: 'say how far one agent is trusted: the next version of the policy, with who and why',
    description:
      'Takes the policy in force, gives the agent the level, and applies that as the next version; nothing else in it changes. observe: calls no tools; read_only: what a new agent is; supervised: what it changes needs an approval; autonomous: as the permissions say. Lower than before takes trust away again. --why is needed: a promotion is a decision that others read later.',
    examples: [
      'proctor policy promote config-auditor supervised --why "its reports were right for a week"',
      'proctor policy promote billing-desk read_only --running --why "wrote the wrong invoice"',
    ],
  })
    .addArgument(new Argument('<level>', 'how far it is trusted').choices(AUTONOMY_LEVELS))
    .option('--running', 'also for runs that began under an earlier version')
    .action(async (agent: string, level: AutonomyLevel, options: PromoteOptions) => {
      const { running = false, why } = options;
      if (why.trim() === '') {
        throw new AppError('usage', '--why: expected the reason, which is stored with the promotion');
      }
      const { policyIn, withLevel } = await import('../app/definition-files.ts');
      const done = await withOperator(options, async (operator) => {
        const [now] = await Promise.all([operator.policy(), operator.agent(agent)]);
        const written = now.text === '' ? JSON.stringify(now.policy) : now.text;
        const text = withLevel(written, agent, level);
        const order = { ...policyIn(text, 'the policy'), text, source: `promote ${agent} ${level}`, running };
        return operator.applyPolicy({ ...order, expect: now.version }, why);
      });
      if (options.json === true) return io.out(JSON.stringify(done));
      if (!done.stored) return io.out(`${line(agent)} is ${level} already, by version ${done.version}`);
      const runs = running ? 'for all runs' : 'for runs that begin now; those at work keep theirs';
      io.out(`${line(agent)} is ${level} by version ${done.version} ${runs}`);
    });
}
