/**
 * Publishes a task with the older `nats` package, as any client does: one message on one subject.
 * Usage: NATS_URL=nats://default:PASSWORD@127.0.0.1:4222 node examples/publish/legacy-nats.mjs task.json
 */
import { readFile } from 'node:fs/promises';
import { argv, env, stdout } from 'node:process';
import { connect } from 'nats';

// biome-ignore lint/style/noProcessEnv: a login does not belong into arguments, which others can see
const { username, password, host } = new URL(env.NATS_URL ?? 'nats://127.0.0.1:4222');
const nc = await connect({ servers: host, user: decodeURIComponent(username), pass: decodeURIComponent(password) });
const task = await readFile(argv[2] ?? 'examples/tasks/first.json');
// A publish would do; as a request the acknowledgement of the stream comes back.
const ack = await nc.request('proctor.tasks.plan', task, { timeout: 5_000 });
stdout.write(`${ack.string()}\n`);
await nc.drain();
