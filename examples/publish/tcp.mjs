/**
 * Publishes a task over a plain TCP socket: the NATS protocol is text.
 * Usage: NATS_URL=nats://default:PASSWORD@127.0.0.1:4222 node examples/publish/tcp.mjs task.json
 */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { argv, env, stderr, stdout } from 'node:process';

// biome-ignore lint/style/noProcessEnv: a login does not belong into arguments, which others can see
const { username, password, hostname, port } = new URL(env.NATS_URL ?? 'nats://127.0.0.1:4222');
const login = { verbose: false, user: decodeURIComponent(username), pass: decodeURIComponent(password) };
const task = await readFile(argv[2] ?? 'examples/tasks/first.json');
const socket = connect(Number(port || 4222), hostname);
socket.write(`CONNECT ${JSON.stringify(login)}\r\nPUB proctor.tasks.plan ${task.length}\r\n`);
socket.write(task);
socket.write('\r\nPING\r\n');
for await (const chunk of socket) {
  const error = /^-ERR .*/m.exec(String(chunk));
  if (error !== null) stderr.write(`${error[0]}\n`);
  // The server answers in order: with PONG it has taken the message.
  else if (String(chunk).includes('PONG')) stdout.write('published\n');
  else continue;
  socket.end();
  process.exitCode = error === null ? 0 : 1;
}
