import type { Command } from 'commander';
import type { LoadedAgent } from '../app/definition-files.ts';
import type { AgentDetails, AgentSummary } from '../client/answers.ts';
import { all } from './arguments.ts';
import { addCommand, addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { line, moment, pretty, preview } from './format.ts';
import type { Io } from './io.ts';
import { facts, table } from './table.ts';

/** The agents of the cluster: list and show them, check files, put a new version into force. */

export function addAgents(program: Command, io: Io): void {
  const agents = addCommand(program, 'agents', {
    summary: 'the agents that tasks can be given to; without more it lists them',
    examples: ['proctor agents', 'proctor agents show log-analyst', 'proctor agents check examples/agents'],
  });
  addList(agents, io);
  addShow(agents, io);
  addCheck(agents, io);
  addPut(agents, io);
}

function addList(agents: Command, io: Io): void {
  addRemoteCommand(agents, 'ls', {
    summary: 'list them: the version in force, and how many runs the nodes take at once',
    description:
      'Lists agents with the version in force. "slots" are the runs in work and those that the nodes which can run the agent take at once; what keeps a node from it stands below the table.',
    examples: ['proctor agents', 'proctor agents ls --json'],
    isDefault: true,
  }).action(async (options: CommonOptions) => {
    const found = await withOperator(options, (operator) => all(operator.agents()));
    if (options.json === true) return io.out(JSON.stringify(found));
    const rows = found.map((agent) => [
      line(agent.name),
      agent.version,
      line(agent.model),
      preview(agent.tools.join(', ') || '-', 60),
      slotsOf(agent),
    ]);
    io.out(table(io, ['name', 'version', 'model', 'tools', 'slots'], rows));
    for (const { name, nodes } of found) {
      for (const { node, unusable } of nodes) {
        if (unusable !== undefined) io.err(`${line(name)} is not run by ${line(node)}: ${line(unusable)}`);
      }
    }
  });
}

function slotsOf({ nodes }: AgentSummary): string {
  const able = nodes.filter(({ unusable }) => unusable === undefined);
  if (able.length === 0) return 'no node can run it';
  const active = able.reduce((sum, node) => sum + node.active, 0);
  const slots = able.reduce((sum, node) => sum + node.slots, 0);
  return `${active} of ${slots} on ${able.length} node${able.length === 1 ? '' : 's'}`;
}

function addShow(agents: Command, io: Io): void {
  addRemoteCommand(agents, 'show <name> [version]', {
    summary: 'the whole definition of one: the version in force, or another',
    examples: ['proctor agents show plan', 'proctor agents show log-analyst 1 --json'],
  }).action(async (name: string, version: string | undefined, options: CommonOptions) => {
    const details = await withOperator(options, (operator) => operator.agent(name, version));
    io.out(options.json === true ? JSON.stringify(details) : detailsText(details));
  });
}

function detailsText({ definition, at, by, source, current, versions }: AgentDetails): string {
  const { name, version, instructions, ...rest } = definition;
  const force = version === current ? 'in force' : `version ${current} is in force`;
  const pairs: [string, string][] = [
    ['agent', line(name)],
    ['version', `${version}, ${force}`],
    ['versions', versions.join(', ')],
    ['stored', `${moment(at)} by ${line(by)}${source === '' ? '' : `, from ${line(source)}`}`],
    ...Object.entries(rest).map(([field, value]): [string, string] => [field, fieldText(value)]),
    ['instructions', pretty((instructions ?? '-').trimEnd())],
  ];
  return facts(pairs);
}

function fieldText(value: unknown): string {
  if (Array.isArray(value)) return line(value.join(', ')) || '-';
  if (typeof value !== 'object' || value === null) return line(String(value)) || '-';
  return Object.entries(value)
    .map(([name, one]) => line(`${name} ${one}`))
    .join(', ');
}

function addCheck(agents: Command, io: Io): void {
  addCommand(agents, 'check <path...>', {
    summary: 'check agent files, or folders of them, without a server',
    description:
      'Reads agent files as "proctor up --agents" does and tells every fault with its place. TypeScript and JavaScript files are run.',
    examples: ['proctor agents check examples/agents', 'proctor agents check agents/billing.yaml'],
  })
    .option('--json', 'print JSON')
    .action(async (paths: string[], options: { json?: boolean }) => {
      const { loadAgents } = await import('../app/definition-files.ts');
      const loaded: LoadedAgent[] = [];
      for (const path of paths) loaded.push(...(await loadAgents(path)));
      if (options.json === true) return io.out(JSON.stringify(loaded));
      const rows = loaded.map(({ definition: { name, version, model, tools }, file }) => [
        line(name),
        version,
        line(model),
        preview(tools.join(', ') || '-', 60),
        line(file),
      ]);
      io.out(table(io, ['name', 'version', 'model', 'tools', 'file'], rows));
    });
}

interface PutOptions extends CommonOptions {
  by?: string;
}

function addPut(agents: Command, io: Io): void {
  addRemoteCommand(agents, 'put <path>', {
    summary: 'store the agents of a file or a folder and put them into force',
    description:
      'Stores each agent for all nodes and puts its version into force: new tasks take it, runs that began keep theirs. A version that is stored never changes; one that was stored before comes into force again.',
    examples: ['proctor agents put agents/log-analyst.yaml', 'proctor agents put agents --by olga'],
  })
    .option('--by <name>', 'who gives the order (default: your user name)')
    .action(async (path: string, options: PutOptions) => {
      const { loadAgents } = await import('../app/definition-files.ts');
      const loaded = await loadAgents(path);
      await withOperator(options, async (operator) => {
        for (const { definition, file } of loaded) {
          const put = await operator.putAgent(definition, file);
          const what = put.stored ? 'is stored and in force' : 'was stored before and is in force';
          io.out(options.json === true ? JSON.stringify(put) : `${line(put.name)} version ${put.version} ${what}`);
          if (put.unusable !== undefined) {
            io.err(`${line(put.name)}: the node that answered cannot run it: ${line(put.unusable)}`);
          }
        }
      });
    });
}
