import type { Command, Option } from 'commander';

/** `docs/cli.md`: every command with its options, in the words of its help. A test holds the file equal to this. */

const HEAD = `# The command line

Written by \`npm run reference\` from the program's own help; \`proctor COMMAND --help\` says the same and adds examples.

Results go to stdout, everything else to stderr. Tables on a terminal, aligned columns in a pipe; colours only on a terminal and
without \`NO_COLOR\`. Times are UTC. Exit codes: 0 fine; 1 the command or the run failed; 2 wrong usage; 3 no server or no node
can be reached; 130 interrupted.

Every command that talks to a running Proctor takes \`--dir\` (its data folder; \`NATS_URL\` comes before it), \`--prefix\` and
\`--json\`. Orders take \`--why\` and \`--by\`: the journal keeps both.
`;

const COMMON = new Set(['--dir', '--prefix', '--json', '--why', '--by']);

export function reference(program: Command): string {
  return `${HEAD}\n${program.commands.flatMap((command) => sections(command, [program.name()])).join('\n')}`;
}

function sections(command: Command, before: string[]): string[] {
  const path = [...before, command.name()];
  if (command.commands.length > 0) return command.commands.flatMap((one) => sections(one, path));
  const usage = [...path, ...command.registeredArguments.map((one) => argument(one))].join(' ');
  const options = command.options.filter((option) => !COMMON.has(option.long ?? ''));
  const lines = options.map((option) => `- \`${option.flags}\`: ${described(option)}`);
  return [
    `## ${path.join(' ')}\n\n    ${usage}\n\n${sentence(command.description())}\n${lines.length === 0 ? '' : `\n${lines.join('\n')}\n`}`,
  ];
}

function argument(one: Command['registeredArguments'][number]): string {
  const name = one.variadic ? `${one.name()}...` : one.name();
  return one.required ? `<${name}>` : `[${name}]`;
}

function described({ description, argChoices, defaultValue }: Option): string {
  const choices = argChoices === undefined ? '' : ` (${argChoices.join(', ')})`;
  const plain = defaultValue === undefined || defaultValue === '' ? '' : ` (default: ${String(defaultValue)})`;
  return `${description}${choices}${plain}`;
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
