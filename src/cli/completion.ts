import { Argument, type Command } from 'commander';
import { addCommand } from './command.ts';
import type { Io } from './io.ts';

/** Scripts that complete commands and options in a shell, made from the program itself. */

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

export function addCompletion(program: Command, io: Io): void {
  addCommand(program, 'completion', {
    summary: 'print a script that completes commands and options in a shell',
    examples: [
      'proctor completion bash > ~/.local/share/bash-completion/completions/proctor',
      'proctor completion zsh > ~/.zsh/proctor.zsh && echo "source ~/.zsh/proctor.zsh" >> ~/.zshrc',
      'proctor completion fish > ~/.config/fish/completions/proctor.fish',
    ],
  })
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action((shell: Shell) => io.out(completionScript(program, shell)));
}

interface Node {
  /** Words after the program's name. */
  path: string[];
  summary: string;
  commands: string[];
  options: { flag: string; takes: 'file' | 'word' | null; description: string }[];
}

function completionScript(program: Command, shell: Shell): string {
  const nodes = nodesOf(program);
  if (shell === 'fish') return fishScript(nodes);
  const bash = bashScript(nodes);
  return shell === 'bash'
    ? bash
    : `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bash}`;
}

function nodesOf(command: Command, path: string[] = []): Node[] {
  const options = command.options.filter((option) => option.long !== undefined && !option.hidden);
  const node: Node = {
    path,
    summary: command.summary(),
    commands: command.commands.map((one) => one.name()),
    options: [
      ...options.map((option) => ({
        flag: option.long ?? '',
        takes: /<(?:file|folder)>/.test(option.flags) ? ('file' as const) : option.required ? ('word' as const) : null,
        description: option.description,
      })),
      { flag: '--help', takes: null, description: 'show help' },
    ],
  };
  return [node, ...command.commands.flatMap((one) => nodesOf(one, [...path, one.name()]))];
}

/** The longest command that the words begin with decides what fits; files are completed where nothing else is. */
function bashScript(nodes: Node[]): string {
  const cases = nodes.map(({ path, commands, options }) => {
    const words = [...commands, ...options.map(({ flag }) => flag)].join(' ');
    return `    "${path.join(' ')}") words="${words}" ;;`;
  });
  const paths = nodes.filter(({ path }) => path.length > 0).map(({ path }) => `"${path.join(' ')}"`);
  return `_proctor() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word next words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in
      ${paths.join(' | ')}) path="$next" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=( $(compgen -W "$words" -- "$current") )
}
complete -o default -F _proctor proctor`;
}

function fishScript(nodes: Node[]): string {
  const lines = ['complete -c proctor -f'];
  for (const { path, commands, options } of nodes) {
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const top = path.length === 0 ? '__fish_use_subcommand' : seen;
    const not = commands.length === 0 ? '' : `; and not __fish_seen_subcommand_from ${commands.join(' ')}`;
    for (const name of commands) {
      const child = nodes.find((one) => one.path.join(' ') === [...path, name].join(' '));
      lines.push(
        `complete -c proctor -n ${quoted(path.length === 0 ? top : `${seen}${not}`)} -a ${name} -d ${quoted(child?.summary ?? '')}`,
      );
    }
    for (const { flag, takes, description } of options) {
      const value = takes === null ? '' : takes === 'file' ? ' -r -F' : ' -x';
      lines.push(`complete -c proctor -n ${quoted(top)} -l ${flag.slice(2)}${value} -d ${quoted(description)}`);
    }
  }
  return lines.join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
