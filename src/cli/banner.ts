import { join, resolve } from 'node:path';
import type { Ops } from '../app/ops.ts';
import { toolboxNames } from '../app/toolbox-names.ts';
import type { Stack } from '../app.ts';
import { VERSION } from '../core/version.ts';
import { exampleTask, placeArgs } from './example-task.ts';
import { line, paintFor } from './format.ts';
import { type Io, quoteArg, selfCommand } from './io.ts';
import { facts } from './table.ts';
import type { NamedStackOptions } from './up-options.ts';

/** What `up` says when everything runs: what is there, and lines to copy. */

export interface UpFacts {
  version: string;
  url: string;
  server: string;
  /** Process of the server; null when it is not ours. */
  server_pid: number | null;
  /** Data folder; null when the server is not ours. */
  dir: string | null;
  prefix: string;
  node: string;
  agents: string[];
  /** Version 0: none was applied, and agents only read. */
  policy: { version: number; source: string };
  tools: string[];
  root: string;
  users: string[];
  /** Where /healthz, /readyz and /metrics answer; null without --http. */
  http: string | null;
  /** Where the page is, and a link that logs in once; null without it. */
  console: { url: string; login: string } | null;
}

export function upFacts(
  options: NamedStackOptions,
  stack: Stack,
  ops: Ops,
  console: UpFacts['console'] = null,
): UpFacts {
  return {
    version: VERSION,
    url: withoutLogin(stack.url),
    server: stack.bus.serverVersion,
    server_pid: stack.embedded?.serverPid() ?? null,
    dir: stack.embedded === null ? null : resolve(options.dir),
    prefix: options.prefix,
    node: options.name,
    agents: stack.node.agents,
    policy: { version: stack.node.policy.version, source: stack.node.policy.source },
    tools: toolboxNames(options.root),
    root: options.root,
    users: stack.embedded === null ? [] : options.users,
    http: ops.url,
    console,
  };
}

const TASK = '{"input":"2 + 3","plan":{"steps":[{"id":"sum","tool":"calculate","args":{"expression":"2 + 3"}}]}}';

export function bannerText(io: Io, up: UpFacts, stack: Stack, options: NamedStackOptions): string {
  const paint = paintFor(io);
  const self = selfCommand();
  const where = up.dir === null ? '' : placeArgs(options.dir);
  const user = up.users.includes('default') ? 'default' : (up.users[0] ?? 'default');
  const asUser = user === 'default' ? '' : ` --user ${quoteArg(user)}`;
  const pairs: [string, string][] = [
    ['server', `${up.url}, nats-server ${up.server}${up.server_pid === null ? '' : `, process ${up.server_pid}`}`],
    ...(up.dir === null ? [] : [['data', up.dir] as [string, string]]),
    ['node', up.node],
    ['agents', up.agents.join(', ')],
    ['policy', policyText(stack.node.policy)],
    ['tools', up.tools.join(', ')],
    ['files', `the file tools see ${up.root}`],
    ...(up.http === null ? [] : [['http', `${up.http}: /healthz /readyz /metrics`] as [string, string]]),
    ...(up.console === null ? [] : [['page', `${up.console.login}  (logs in once)`] as [string, string]]),
    ...(up.users.length === 0 ? [] : [['users', up.users.join(', ')] as [string, string]]),
  ];
  return [
    paint.bold(`Proctor ${up.version} is up.`),
    '',
    facts(pairs),
    '',
    'Submit a task with any NATS client:',
    `  nats pub --server ${loginUrl(io, up, stack, options, user)} ${stack.subjects.task('plan', user === 'default' ? undefined : user)} '${TASK}'`,
    'or, in another terminal, with this one:',
    `  ${self} submit ${exampleTask()} --wait${asUser}${where}`,
    `Look at the runs:  ${self} ps${where}`,
    'Stop:              Ctrl-C',
  ].join('\n');
}

/** Which policy is in force, and what becomes of agents that it does not name. */
export function policyText({ version, source, first }: Stack['node']['policy']): string {
  const self = selfCommand();
  if (version === 0) {
    return `none was applied, so every agent only reads, until: ${self} policy apply FILE --why TEXT`;
  }
  const from = source === '' ? '' : `, from ${line(source)}`;
  const now = first ? ', put into force now as there was none' : '';
  return `version ${version}${from}${now}; an agent that it does not name only reads, until: ${self} policy promote AGENT LEVEL --why TEXT`;
}

/** What `supervisor` says: the cluster was there before. */
export function joinedText(io: Io, up: UpFacts, stack: Stack): string {
  const paint = paintFor(io);
  return [
    paint.bold(`Node ${up.node} has joined, Proctor ${up.version}.`),
    '',
    facts([
      ['server', `${up.url}, nats-server ${up.server}`],
      ['agents', up.agents.join(', ')],
      ['policy', policyText(stack.node.policy)],
      ['tools', up.tools.join(', ')],
      ['files', `the file tools see ${up.root}`],
      ...(up.http === null ? [] : [['http', `${up.http}: /healthz /readyz /metrics`] as [string, string]]),
    ]),
    '',
    `All nodes:  ${selfCommand()} nodes`,
    'Stop:       Ctrl-C hands the runs over to other nodes',
  ].join('\n');
}

/**
 * The server's address with the login of a submitter. The password is shown only to a person at a terminal; what is
 * written to a file or a log reads it from its file when the line is used.
 */
function loginUrl(io: Io, up: UpFacts, stack: Stack, options: NamedStackOptions, user: string): string {
  const credential = stack.embedded?.keys.submitters.find((one) => one.user === user);
  if (credential === undefined) return quoteArg(up.url);
  const [scheme = 'nats', rest = ''] = up.url.split('://');
  const name = encodeURIComponent(credential.user).replaceAll("'", '%27');
  if (io.outIsTty) return quoteArg(`${scheme}://${name}:${credential.password}@${rest}`);
  const file = quoteArg(join(options.dir, credential.file));
  return `"${scheme}://${name}:$(sed 's/.*"password":"\\([^"]*\\)".*/\\1/' ${file})@${rest}"`;
}

function withoutLogin(url: string): string {
  return url.replace(/\/\/[^@/,]*@/g, '//');
}
