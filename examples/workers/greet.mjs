// A tool of your own, as a worker process. With `npm start` running in another terminal:
//   node examples/workers/greet.mjs
// then submit a task whose plan uses the tool `greet`:
//   {"input":"hello","plan":{"steps":[{"id":"g","tool":"greet","args":{"name":"Ada"}}]}}
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { connectBus, cryptoIds, logTo, Subjects, serveTools, systemClock, workerInbox } from '../../dist/src/index.js';

const folder = process.argv[2] ?? '.proctor';
const connection = JSON.parse(readFileSync(`${folder}/connection.json`, 'utf8'));
const nkeySeed = readFileSync(`${folder}/${connection.credentials.worker}`, 'utf8').trim();
const subjects = new Subjects(connection.prefix);
const log = logTo((line) => process.stderr.write(line), 'info');
const address = { url: connection.url, nkeySeed, inboxPrefix: workerInbox(connection.prefix) };
const bus = await connectBus(address, 'greeter', subjects, log);

const worker = await serveTools({
  bus,
  subjects,
  clock: systemClock(),
  log,
  id: cryptoIds.random(),
  tools: [
    {
      definition: {
        name: 'greet',
        version: '1.0.0',
        description: 'Greets somebody by name.',
        parameters: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        effect: 'read',
        risk: 'low',
        requires_approval: false,
        idempotent: true,
        timeout_ms: 5_000,
      },
      handler: async ({ name }) => ({ greeting: `Hello, ${name}!` }),
    },
  ],
});
process.stdout.write('worker for the tool greet is up; stop it with Ctrl-C\n');
process.once('SIGINT', async () => {
  await worker.stop();
  await bus.close();
});
