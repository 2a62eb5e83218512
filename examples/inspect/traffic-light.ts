// A program with a machine of its own beside a node, both seen in the console: a traffic light that runs by itself.
//   npx jiti examples/inspect/traffic-light.ts
//   npx proctor console --dir .proctor-light       in another terminal: Tree, then `crossing` below the node
import { env, stdout } from 'node:process';
import { SILENT, startStack } from 'proctor';
import { assign, createActor, setup } from 'xstate';

const crossing = setup({
  types: { context: {} as { rounds: number }, events: {} as { type: 'BUTTON' } },
  actions: { count: assign({ rounds: ({ context }) => context.rounds + 1 }) },
}).createMachine({
  id: 'crossing',
  context: { rounds: 0 },
  type: 'parallel',
  states: {
    cars: {
      initial: 'green',
      states: {
        green: { after: { 6000: 'yellow' } },
        yellow: { after: { 1500: 'red' } },
        red: { after: { 6000: { target: 'green', actions: 'count' } } },
      },
    },
    button: {
      initial: 'idle',
      states: {
        idle: { on: { BUTTON: 'pressed' } },
        pressed: { after: { 9000: 'idle' } },
      },
    },
  },
});

const { PATH = '', LIGHT_DIR = '.proctor-light' } = env;

const stack = await startStack({
  dir: LIGHT_DIR,
  prefix: 'proctor',
  users: ['default'],
  server: { path: PATH },
  root: '.',
  allowHosts: [],
  settings: {},
  log: SILENT,
});
const actor = createActor(crossing).start();
// From here on the console may look; nothing is attached to the actor while nobody does.
const hide = stack.node.inspectable('crossing', actor);
const presses = setInterval(() => actor.send({ type: 'BUTTON' }), 11_000);
stdout.write(`up: ${stack.url}\n`);

async function stop(): Promise<void> {
  clearInterval(presses);
  hide();
  actor.stop();
  await stack.stop();
}
process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());
