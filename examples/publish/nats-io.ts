/**
 * Publishes a task with @nats-io and waits for its result.
 * Usage: NATS_URL=nats://default:PASSWORD@127.0.0.1:4222 node examples/publish/nats-io.ts task.json
 * (Node 22.18 or newer runs TypeScript as it stands; with an older one: npx tsx examples/publish/nats-io.ts)
 */
import { readFile } from 'node:fs/promises';
import { argv, env, stdout } from 'node:process';
import { connect } from '@nats-io/transport-node';

// biome-ignore lint/style/noProcessEnv: a login does not belong into arguments, which others can see
const { username, password, host } = new URL(env.NATS_URL ?? 'nats://127.0.0.1:4222');
const nc = await connect({ servers: host, user: decodeURIComponent(username), pass: decodeURIComponent(password) });
const events = nc.subscribe('proctor.evt.plan.default.*');
const ack = await nc.request('proctor.tasks.plan', await readFile(argv[2] ?? 'examples/tasks/first.json'));
const { seq } = ack.json<{ seq: number }>();

let run = '';
for await (const message of events) {
  const status = message.json<{ run: string; state: string; phase: string; task_seq?: number }>();
  if (status.task_seq === seq) run = status.run;
  if (status.run === run) stdout.write(`${run} ${status.state}\n`);
  if (status.run === run && status.phase === 'complete') break;
}
const result = await nc.request('proctor.ask.default.result', JSON.stringify({ run }), { timeout: 5_000 });
stdout.write(`${result.string()}\n`);
await nc.drain();
