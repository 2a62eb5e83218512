import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { type ServerPlace, writeServerConfigs } from '../app/nats-config.ts';
import { ApproverName, Group } from '../core/approval-rules.ts';
import { AppError } from '../core/errors.ts';
import { Name } from '../core/task.ts';
import { addCommand } from './command.ts';
import type { Io } from './io.ts';

interface NatsConfigOptions {
  server?: ServerPlace[];
  users: string;
  approver?: { name: string; groups: string[] }[];
  store: string;
  prefix: string;
  monitor?: string;
}

export function addNatsConfig(program: Command, io: Io): void {
  addCommand(program, 'nats-config <folder>', {
    summary: 'make keys and configuration for nats-servers that you run yourself',
    description:
      'Writes a configuration file for each server, and the keys of all roles, into the folder; keys that are there are kept. The accounts are those of the server that "proctor up" starts. Give each server its file (nats-server -c), nodes keys/node.nk, workers keys/worker.nk, operators keys/operator.nk, approvers keys/approver.nk (which sees the requests of all groups) or a login of their own (--approver), and submitters the user and password in keys/submit-<user>.json. The files hold secrets.',
    examples: [
      'proctor nats-config ./nats --server n1.example.com --users alice,bob',
      'proctor nats-config ./nats --server n1 --server n2 --server n3 --store /var/lib/nats --monitor 127.0.0.1:8222',
      'proctor nats-config ./nats --server a=127.0.0.1:4301:6301 --server b=127.0.0.1:4302:6302 --server c=127.0.0.1:4303:6303',
    ],
  })
    .option('--server <name>', 'name[=host[:port[:port of routes]]]; may be repeated (default: nats)', place)
    .option('--users <names>', 'who may submit, separated by commas', 'default')
    .option(
      '--approver <name=groups>',
      'an approver with a login of its own, keys/login-<name>.nk, which sees the requests of these groups alone: alice=finance,ops; may be repeated',
      groupApprover,
    )
    .option('--store <folder>', 'where each server keeps its data, under its name', '/data')
    .option('--prefix <name>', 'first token of all subjects', 'proctor')
    .option('--monitor <host:port>', 'where each server answers /healthz, without a login (default: nowhere)')
    .action(async (folder: string, options: NatsConfigOptions) => {
      const { store, prefix, monitor } = options;
      const servers = options.server ?? [place('nats')].flat();
      const users = options.users.split(',').map((user) => user.trim());
      const unusable = users.find((user) => !Name.safeParse(user).success);
      if (unusable !== undefined) {
        throw new AppError('usage', '--users: expected names of 1 to 64 characters, no control characters');
      }
      const names = new Set(servers.map(({ name }) => name));
      if (names.size < servers.length) throw new AppError('usage', '--server: expected names that differ');
      await writeServerConfigs({
        dir: folder,
        prefix,
        users,
        approvers: options.approver ?? [],
        servers,
        storeDir: store,
        ...(monitor === undefined ? {} : { monitor }),
        random: randomBytes,
      });
      for (const name of names) io.out(`nats-server -c ${join(folder, `${name}.conf`)}`);
      const url = servers.map(({ host, port }) => `nats://${host}:${port}`).join(',');
      io.out(`NATS_URL=${url} PROCTOR_NKEY_FILE=${join(folder, 'keys/node.nk')} proctor supervisor`);
    });
}

/** `n1`, `n1=10.0.0.1`, `n1=10.0.0.1:4222:6222`. */
function place(text: string, before: ServerPlace[] = []): ServerPlace[] {
  const match = /^([A-Za-z0-9_-]{1,64})(?:=([A-Za-z0-9._-]+)(?::(\d{1,5})(?::(\d{1,5}))?)?)?$/.exec(text);
  const [, name = '', host = name, port = '4222', routePort = '6222'] = match ?? [];
  if (match === null || Number(port) > 65_535 || Number(routePort) > 65_535) {
    throw new InvalidArgumentError('Expected a name such as n1, or n1=10.0.0.1:4222:6222.');
  }
  return [...before, { name, host, port: Number(port), routePort: Number(routePort) }];
}

/** `alice=finance,ops`. */
function groupApprover(text: string, before: { name: string; groups: string[] }[] = []) {
  const [name = '', groups = '', ...rest] = text.split('=');
  const named = groups.split(',');
  const right = ApproverName.safeParse(name).success && named.every((group) => Group.safeParse(group).success);
  if (right && rest.length === 0 && !before.some((one) => one.name === name))
    return [...before, { name, groups: named }];
  throw new InvalidArgumentError('Expected a name and its groups, each name once, such as alice=finance,ops.');
}
