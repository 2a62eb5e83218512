import type { Command } from 'commander';
import type { ToolDetails } from '../core/cluster-wire.ts';
import { addCommand, addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { duration, line, pretty, preview } from './format.ts';
import type { Io } from './io.ts';
import { facts, table } from './table.ts';

/** Tools that can be called now, as nodes and workers say at this moment. */
export function addTools(program: Command, io: Io): void {
  const tools = addCommand(program, 'tools', {
    summary: 'tools that can be called now; without more it lists them',
    examples: ['proctor tools', 'proctor tools show calculate'],
  });

  addRemoteCommand(tools, 'ls', {
    summary: 'list them with their workers and figures',
    description:
      'Lists the tools that can be called now. Figures are those of the workers since they started; nodes count nothing for the tools that they bring themselves. "cached": calls that the nodes that are there answered from their caches, of those that they looked for.',
    examples: ['proctor tools', 'proctor tools ls --json'],
    isDefault: true,
  }).action(async (options: CommonOptions) => {
    const found = await withOperator(options, (operator) => operator.tools());
    if (options.json === true) return io.out(JSON.stringify(found));
    if (found.length === 0) return io.out('There are no tools: start a worker with "proctor worker FILE".');
    const rows = found.map((one) => [
      one.name,
      one.version,
      one.from === 'node' ? 'node' : String(one.workers),
      one.effect,
      one.risk,
      one.idempotent ? 'yes' : 'no',
      one.from === 'node' ? '-' : String(one.calls),
      one.from === 'node' ? '-' : String(one.errors),
      one.average_ms === null ? '-' : duration(one.average_ms),
      one.cache === null ? '-' : `${one.cache.hits} of ${one.cache.hits + one.cache.misses}`,
    ]);
    io.out(
      table(
        io,
        ['tool', 'version', 'workers', 'effect', 'risk', 'repeatable', 'calls', 'errors', 'average', 'cached'],
        rows,
      ),
    );
  });

  addRemoteCommand(tools, 'show <name>', {
    summary: 'what one takes and does, and its workers',
    examples: ['proctor tools show calculate', 'proctor tools show calculate --json'],
  }).action(async (name: string, options: CommonOptions) => {
    const { definition, workers } = await withOperator(options, (operator) => operator.tool(name));
    if (options.json === true) return io.out(JSON.stringify({ definition, workers }));
    const pairs: [string, string][] = [
      ['tool', `${definition.name} (version ${line(definition.version)})`],
      ['does', line(definition.description)],
      ['effect', `${definition.effect}, risk ${definition.risk}`],
      ['repeatable', definition.idempotent ? 'yes' : 'no: a call with an unknown outcome waits for a person'],
      ['approval', approvalOf(definition)],
      ['timeout', duration(definition.timeout_ms)],
      ['results', resultsOf(definition)],
      ['parameters', pretty(definition.parameters)],
    ];
    if (definition.result !== undefined) pairs.push(['result', pretty(definition.result)]);
    const rows = workers.map((one) => [
      line(one.id),
      line(one.version),
      line(one.started),
      String(one.calls),
      String(one.errors),
      duration(one.average_ms),
      preview(one.last_error, 80),
    ]);
    const heads = ['worker', 'version', 'started', 'calls', 'errors', 'average', 'last error'];
    io.out(rows.length === 0 ? `${facts(pairs)}\nworkers     the nodes themselves` : facts(pairs));
    if (rows.length > 0) io.out(`\n${table(io, heads, rows)}`);
  });
}

function resultsOf({ valid_ms, cache_ms, cache_scope }: ToolDetails['definition']): string {
  const valid = valid_ms === undefined ? 'may be acted on for good' : `may be acted on for ${duration(valid_ms)}`;
  if (cache_ms === undefined) return `${valid}; not cached`;
  return `${valid}; cached for ${duration(cache_ms)}, ${cache_scope === 'shared' ? 'for everybody' : 'for each user'}`;
}

function approvalOf({ requires_approval, effect, risk, amount_field }: ToolDetails['definition']): string {
  if (requires_approval) return 'every call';
  if (effect === 'destructive') return 'every call, as it cannot be undone';
  if (risk === 'high') return 'every call, unless the agent says otherwise';
  return amount_field === undefined ? 'only where a rule says so' : `when its ${line(amount_field)} is large`;
}
