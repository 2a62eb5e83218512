import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { LoadedPolicy } from '../app/definition-files.ts';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import { type PolicyAnswer, PolicyProbe } from '../core/policy.ts';
import { policyChanges } from '../core/policy-diff.ts';
import { runId, unreadable, wholeNumber } from './arguments.ts';
import { addCommand, addOrder, addRemoteCommand, type CommonOptions, type OrderOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { counted, line, moment } from './format.ts';
import type { Io } from './io.ts';
import { addPromote } from './policy-promote.ts';
import { changeText, explainText, ruleText } from './policy-view.ts';
import { facts } from './table.ts';

/** The policy of the cluster: check a file, put it into force, look at it, ask it. */

export function addPolicy(program: Command, io: Io): void {
  const policy = addCommand(program, 'policy', {
    summary:
      'what agents may do: check a policy file, put it into force, ask why a call was allowed, denied or asked for',
    description:
      'The policy says which calls are allowed, denied or need an approval, how far each agent is trusted, and what follows from content from outside (docs/policy.md). Without more it shows the one in force.',
    examples: [
      'proctor policy check policy.yaml',
      'proctor policy diff policy.yaml',
      'proctor policy apply policy.yaml --why "refunds ask from now on"',
      'proctor policy promote config-auditor supervised --why "its reports were right"',
      'proctor policy explain 20260101-abc-1',
    ],
  });
  addShow(policy, io);
  addCheck(policy, io);
  addDiff(policy, io);
  addApply(policy, io);
  addPromote(policy, io);
  addTest(policy, io);
  addExplain(policy, io);
}

async function load(file: string): Promise<LoadedPolicy> {
  const { loadPolicy } = await import('../app/definition-files.ts');
  return loadPolicy(file);
}

function addShow(policy: Command, io: Io): void {
  addRemoteCommand(policy, 'show [version]', {
    summary: 'the policy in force, or another version, as it was written; 0 is the one that comes with Proctor',
    examples: ['proctor policy show', 'proctor policy show 3 --json', 'proctor policy show > policy.yaml'],
    isDefault: true,
  }).action(async (version: string | undefined, options: CommonOptions) => {
    const wanted = version === undefined ? undefined : versionIn(version);
    const found = await withOperator(options, (operator) => operator.policy(wanted));
    if (options.json === true) return io.out(JSON.stringify(found));
    const force = found.version === found.current ? 'in force' : `version ${found.current} is in force`;
    const pairs: [string, string][] = [
      ['policy', found.version === 0 ? 'the built-in one' : `version ${found.version}`],
      ['', force],
      ...(found.at_least === 0
        ? []
        : ([['running', `runs at work are judged by version ${found.at_least} or later`]] as [string, string][])),
      ...(found.at === null
        ? []
        : ([
            [
              'applied',
              `${moment(found.at)} by ${line(found.by)}${found.source === '' ? '' : `, from ${line(found.source)}`}`,
            ],
          ] as [string, string][])),
      ...(found.why === '' ? [] : ([['why', line(found.why)]] as [string, string][])),
    ];
    io.err(facts(pairs));
    io.out((found.text === '' ? JSON.stringify(found.policy, null, 2) : found.text).trimEnd());
  });
}

function versionIn(text: string): number {
  try {
    return wholeNumber(0, 1_000_000_000)(text);
  } catch {
    throw new AppError('usage', `version ${line(text)}: expected a whole number, such as 3`);
  }
}

function addCheck(policy: Command, io: Io): void {
  addCommand(policy, 'check <file>', {
    summary: 'check a policy file without a server: every fault, with its line',
    examples: ['proctor policy check policy.yaml', 'proctor policy check examples/policies/matrix.yaml --json'],
  })
    .option('--json', 'print JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const { policy: read, lines } = await load(file);
      if (options.json === true) return io.out(JSON.stringify({ ok: true, policy: read, lines }));
      const rules = counted(read.permissions.length, 'permission');
      io.out(`${line(file)} is right: ${rules}, ${counted(read.autonomy.length, 'level')} of autonomy`);
    });
}

function addDiff(policy: Command, io: Io): void {
  addRemoteCommand(policy, 'diff <file>', {
    summary: 'what a policy file would change, rule by rule',
    examples: ['proctor policy diff policy.yaml'],
  }).action(async (file: string, options: CommonOptions) => {
    const mine = await load(file);
    const now = await withOperator(options, (operator) => operator.policy());
    const changes = policyChanges(now.policy, mine.policy);
    if (options.json === true) return io.out(JSON.stringify({ version: now.version, changes }));
    if (changes.length === 0) return io.out(`${line(file)} says what version ${now.version} says.`);
    for (const change of changes) io.out(changeText(change));
  });
}

interface ApplyOptions extends OrderOptions {
  running?: boolean;
  expect?: number;
}

function addApply(policy: Command, io: Io): void {
  addOrder(policy, 'apply <file>', {
    summary: 'put a policy file into force on all nodes',
    description:
      'Checks the file, stores it as the next version and puts it into force on all nodes within a second: runs that begin then are under it, runs at work keep theirs. With --running those are judged by it as well. The same file again changes nothing.',
    examples: [
      'proctor policy apply policy.yaml --why "writes ask"',
      'proctor policy apply policy.yaml --running --expect 3',
    ],
  })
    .option('--running', 'also for runs that began under an earlier version')
    .option(
      '--expect <version>',
      'only if this version is in force: nobody else changed it',
      wholeNumber(0, 1_000_000_000),
    )
    .action(async (file: string, options: ApplyOptions) => {
      const { policy: read, lines, text } = await load(file);
      const { running = false, expect, why } = options;
      const order = { policy: read, lines, text, source: file.slice(-512), running };
      const done = await withOperator(options, (operator) =>
        operator.applyPolicy(expect === undefined ? order : { ...order, expect }, why),
      );
      if (options.json === true) return io.out(JSON.stringify(done));
      if (!done.stored) return io.out(`version ${done.version} says the same and is in force`);
      const runs = running ? 'for all runs' : 'for runs that begin now; those at work keep theirs';
      io.out(`version ${done.version} is in force ${runs}`);
    });
}

function addTest(policy: Command, io: Io): void {
  addRemoteCommand(policy, 'test <call>', {
    summary: 'what the policy would say to a call; nothing is called',
    description:
      'Asks a node what its gate would say to the call in a JSON file: {"agent", "tool", "args", "user", "risk", "above": [agents above it], "tainted": true}. Agent and tool have to be there. With --policy it is asked under that file, which is not put into force.',
    examples: ['proctor policy test call.json', 'proctor policy test call.json --policy policy.yaml --json'],
  })
    .option('--policy <file>', 'under this policy file, in the place of the one in force')
    .action(async (file: string, options: CommonOptions & { policy?: string }) => {
      const probe = await probeIn(file);
      const given = options.policy === undefined ? undefined : await load(options.policy);
      const candidate = given === undefined ? undefined : { policy: given.policy, lines: given.lines };
      const answer = await withOperator(options, (operator) => operator.testPolicy(probe, candidate));
      io.out(options.json === true ? JSON.stringify(answer) : answerText(answer, given?.text));
    });
}

async function probeIn(file: string): Promise<PolicyProbe> {
  const text = await readFile(file, 'utf8').catch((thrown: unknown) => {
    throw new AppError('usage', unreadable(file, thrown));
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw new AppError('usage', `${file} is not JSON: ${toAppError(thrown).message}`);
  }
  const probe = PolicyProbe.safeParse(value);
  if (probe.success) return probe.data;
  throw new AppError('usage', `${file}: ${describeFaults(probe.error, 'call').message}`);
}

const VERDICTS: Record<PolicyAnswer['verdict'], string> = {
  allow: 'allowed',
  ask: 'needs an approval',
  deny: 'denied',
};

function answerText(answer: PolicyAnswer, text: string | undefined): string {
  const { version, rules } = answer.policy;
  const lines = text?.split('\n');
  const shown = rules.map((rule) => {
    const said = rule.line === undefined ? undefined : lines?.[rule.line - 1]?.trim();
    return ruleText(said === undefined ? rule : { ...rule, text: said }, version);
  });
  return facts([
    ['verdict', VERDICTS[answer.verdict]],
    ...(answer.code === undefined
      ? []
      : ([['gate', `${answer.code}: ${line(answer.message ?? '')}`]] as [string, string][])),
    ['rules', shown.join('\n') || 'none: a gate before the policy refused it'],
    ...(answer.verdict === 'ask'
      ? ([
          ['because', answer.reasons.map(({ text: why }) => line(why)).join('\n')],
          ['of', `${answer.needed} of ${answer.groups.join(', ')}, within ${answer.timeout_ms / 1_000} s`],
        ] as [string, string][])
      : []),
    ...(answer.untrusted
      ? ([['then', 'its result comes from outside: writes and egress after it ask']] as [string, string][])
      : []),
  ]);
}

function addExplain(policy: Command, io: Io): void {
  addRemoteCommand(policy, 'explain <run>', {
    summary: 'why each call of a run was allowed, denied or asked for: the rule and its line',
    examples: ['proctor policy explain 20260101-abc-1', 'proctor policy explain 20260101-abc-1 --json'],
  })
    .argument('[call]', 'only this call, such as 4-0')
    .action(async (run: string, call: string | undefined, options: CommonOptions) => {
      const found = await withOperator(options, (operator) => operator.explain(runId(run)));
      const calls = call === undefined ? found.calls : found.calls.filter(({ c }) => c === call);
      if (call !== undefined && calls.length === 0) {
        throw new AppError(
          'unknown_call',
          `run ${run} has no call ${line(call)}; its calls are: ${found.calls.map(({ c }) => c).join(', ') || 'none'}`,
        );
      }
      const explained = { ...found, calls };
      io.out(options.json === true ? JSON.stringify(explained) : explainText(explained));
    });
}
