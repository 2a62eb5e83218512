import { Subjects } from '../../core/subjects.ts';
import { encodeToken } from '../../core/tokens.ts';
import type { Keys } from './keys.ts';

/**
 * The configuration of a nats-server that Proctor runs.
 *
 * Roles are accounts, joined by service imports. Permissions on subjects would not do: a server does not check the
 * *reply* subject of a message, so who may publish one task could have JetStream's acknowledgement sent to
 * `$JS.API.STREAM.PURGE.…` and purge a stream. A service import replaces the reply subject. Workers, which must sit
 * in the nodes' account, may publish one reply to a call, signs of life, on which nobody ever replies, and requests for
 * the idempotency store, which nodes answer on the inboxes of workers and nowhere else; so there is nothing to forge a
 * reply subject on.
 */

export interface ServerConfig {
  prefix: string;
  /** Address to listen on, `host:port`. */
  listen: string;
  storeDir: string;
  keys: Keys;
  /** Address of the unauthenticated monitoring port, for health checks; none by default. */
  monitor?: string;
  /** Of a server among several. */
  cluster?: {
    /** Name of this server, unlike all others. */
    server: string;
    /** Address where the other servers reach it, `host:port`. */
    listen: string;
    /** All servers of the cluster, this one included: `host:port`. */
    routes: string[];
  };
}

/** Largest message, bytes. */
const MAX_PAYLOAD = 1024 * 1024;

/** The text of nats.conf; it holds passwords. */
export function serverConfig(config: ServerConfig): string {
  const p = config.prefix;
  const subjects = new Subjects(p);
  const inbox = subjects.workerInbox;
  const forConsole = subjects.consoleInbox;
  const events = subjects.stream('EVT');
  const approvals = [`${p}.apr.open`, `${p}.apr.open.*`, `${p}.in.*.decision.*`];
  const requests = [`${p}.apr.req.>`, `${p}.apr.note.>`];
  // It reads streams, asks nodes and gives orders, and passes on decisions that approvers signed; it writes to nothing else
  // but the switches, and applies no policy.
  // Orders that only operators give, from where their key is.
  const ordersOfOperators = ['policy_put', 'approver_put', 'approver_revoke', 'agent_put', 'compensate'].map((verb) =>
    subjects.api(verb),
  );
  const consolePublish = [
    ...[`${p}.api.>`, `${p}.switch.>`, '$JS.API.INFO', '$JS.API.STREAM.INFO.*', '$JS.API.STREAM.MSG.GET.*'],
    ...['$JS.API.DIRECT.GET.>', `$JS.API.CONSUMER.CREATE.${events}`, `$JS.API.CONSUMER.MSG.NEXT.${events}.*`],
    `$JS.API.CONSUMER.DELETE.${events}.*`,
    ...approvals,
  ];
  const { roles, submitters, approvers } = config.keys;
  const approve = ['APPROVE', ...approvers.map(({ name }) => accountOf(name))];
  const accounts = submitters.map((submitter) => ({ submitter, name: `SUBMIT_${encodeToken(submitter.user)}` }));
  const submit = list(accounts.map((account) => account.name));
  return `# Written by Proctor at every start; changes are lost. Holds passwords.
server_name: ${quote(config.cluster?.server ?? p)}
listen: ${quote(config.listen)}
${config.monitor === undefined ? '' : `http: ${quote(config.monitor)}\n`}max_payload: ${MAX_PAYLOAD}
jetstream { store_dir: ${quote(config.storeDir)} }
${clusterBlock(config)}system_account: SYS
accounts {
  SYS {}
  CORE {
    jetstream: enabled
    exports: [
      { service: ${quote(`${p}.tasks.>`)}, accounts: ${submit} }
      { service: ${quote(`${p}.ask.>`)}, accounts: ${submit} }
      { service: ${quote(`${p}.api.>`)}, accounts: [OPERATE] }
      { service: ${quote(`${p}.switch.>`)}, accounts: [OPERATE] }
${exportLines('service', approvals, approve)}${exportLines('stream', requests, approve)}      { stream: ${quote(`${p}.evt.>`)}, accounts: ${list([...accounts.map((a) => a.name), 'OPERATE', 'INSPECT'])} }
    ]
    users: [
      { nkey: ${roles.node.publicKey}, permissions: {
          publish: { allow: ${list([`${p}.>`, '$JS.>', '$KV.>', '$O.>', '$SRV.>', '_INBOX.>', `${inbox}.>`, `${forConsole}.>`, '_R_.>'])} },
          subscribe: { allow: ${list([`${p}.>`, '$JS.EVENT.>', '$KV.>', '$SRV.>', '_INBOX.>', `${forConsole}.>`])} } } }
      { nkey: ${roles.console.publicKey}, permissions: {
          publish: { allow: ${list(consolePublish)}, deny: ${list(ordersOfOperators)} },
          subscribe: { allow: ${list([`${p}.jrn.>`, `${p}.evt.>`, `${p}.insp.>`, ...requests, `${forConsole}.>`])} } } }
      { nkey: ${roles.worker.publicKey}, permissions: {
          publish: { allow: ${list([`${p}.beat.>`, `${p}.idem.>`])} },
          subscribe: { allow: ${list([`${p}.tool.*.call`, `${p}.tool.*.cancel.>`, `${p}.tool.*.result.>`, `${p}.switch.>`, '$SRV.>', `${inbox}.>`])} },
          allow_responses: { max: 1, expires: "24h" } } }
    ]
  }
  OPERATE {
    imports: [
      { service: { account: CORE, subject: ${quote(`${p}.api.>`)} } }
      { service: { account: CORE, subject: ${quote(`${p}.switch.>`)} } }
      { stream: { account: CORE, subject: ${quote(`${p}.evt.>`)} } }
    ]
    users: [ { nkey: ${roles.operator.publicKey}, permissions: {
      publish: { allow: ${list([`${p}.api.>`, `${p}.switch.>`])} }, subscribe: { allow: ${list([`${p}.evt.>`, '_INBOX.>'])} } } } ]
  }
${approverAccount(p, 'APPROVE', roles.approver.publicKey, null)}${approvers.map(({ name, publicKey, groups }) => approverAccount(p, accountOf(name), publicKey, groups)).join('')}  INSPECT {
    imports: [ { stream: { account: CORE, subject: ${quote(`${p}.evt.>`)} } } ]
    users: [ { nkey: ${roles.viewer.publicKey}, permissions: {
      publish: { deny: ">" }, subscribe: { allow: ${list([`${p}.evt.>`])} } } } ]
  }
${accounts.map(({ name, submitter }) => submitterAccount(p, name, submitter)).join('')}}
`;
}

function clusterBlock({ prefix, cluster, keys: { routes } }: ServerConfig): string {
  if (cluster === undefined) return '';
  const login = `${encodeURIComponent(routes.user)}:${encodeURIComponent(routes.password)}`;
  return `cluster {
  name: ${quote(prefix)}
  listen: ${quote(cluster.listen)}
  authorization { user: ${quote(routes.user)}, password: ${quote(routes.password)}, timeout: 2 }
  routes: ${list(cluster.routes.map((address) => `nats://${login}@${address}`))}
}
`;
}

function accountOf(approver: string): string {
  return `APPROVE_${encodeToken(approver)}`;
}

function exportLines(kind: 'service' | 'stream', subjects: string[], accounts: string[]): string {
  return subjects.map((subject) => `      { ${kind}: ${quote(subject)}, accounts: ${list(accounts)} }\n`).join('');
}

/**
 * Reads the requests of its groups (null: of all) and publishes decisions. Whose they are, the signature says: the name
 * is part of a token of the subject, and rights are about whole tokens.
 */
function approverAccount(p: string, name: string, publicKey: string, groups: string[] | null): string {
  const open = groups === null ? [`${p}.apr.open`, `${p}.apr.open.*`] : groups.map((group) => `${p}.apr.open.${group}`);
  const services = [...open, `${p}.in.*.decision.*`];
  const streams = (groups ?? ['*']).flatMap((group) => [`${p}.apr.req.${group}.*.*`, `${p}.apr.note.${group}.*.*`]);
  const imports = [
    ...services.map((subject) => `      { service: { account: CORE, subject: ${quote(subject)} } }\n`),
    ...streams.map((subject) => `      { stream: { account: CORE, subject: ${quote(subject)} } }\n`),
  ];
  return `  ${quote(name)} {
    imports: [
${imports.join('')}    ]
    users: [ { nkey: ${publicKey}, permissions: {
      publish: { allow: ${list(services)} }, subscribe: { allow: ${list([...streams, '_INBOX.>'])} } } } ]
  }
`;
}

/** An account each, so that nobody's inbox is within another submitter's reach. */
function submitterAccount(p: string, name: string, submitter: { user: string; password: string }): string {
  const user = encodeToken(submitter.user);
  const tasks = [...(submitter.user === 'default' ? [`${p}.tasks.*`] : []), `${p}.tasks.*.${user}`];
  const services = [...tasks, `${p}.ask.${user}.*`];
  const events = `${p}.evt.*.${user}.*`;
  return `  ${quote(name)} {
    imports: [
${services.map((subject) => `      { service: { account: CORE, subject: ${quote(subject)} } }\n`).join('')}      { stream: { account: CORE, subject: ${quote(events)} } }
    ]
    users: [ { user: ${quote(submitter.user)}, password: ${quote(submitter.password)}, permissions: {
      publish: { allow: ${list(services)} }, subscribe: { allow: ${list([events, '_INBOX.>'])} } } } ]
  }
`;
}

function list(items: string[]): string {
  return `[${items.map(quote).join(', ')}]`;
}

/** A string of the configuration language; quoted, so that `$` and brackets in it mean nothing. */
function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
