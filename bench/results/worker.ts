import { z } from 'zod';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { defineTool } from '../../src/worker/define-tool.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { PATIENCE_MS, PREFIX, type ResultsProcessOptions, TOOL } from './wire.ts';

/** Answers as many bytes as it is asked for, each time others. */

const { url, slots } = childOptions<ResultsProcessOptions>();
const subjects = new Subjects(PREFIX);
const bus = await connectBus({ url }, 'results-worker', subjects, silent);
const report = defineTool({
  name: TOOL,
  description: 'a large report',
  parameters: z.object({ bytes: z.int(), number: z.int() }),
  idempotent: true,
  timeoutMs: PATIENCE_MS,
  concurrency: slots,
  handler: ({ bytes, number }) => `report ${number} `.padEnd(bytes, 'text '),
});
const id = 'results';
await serveTools({ bus, subjects, clock: systemClock(), log: silent, id, tools: [report], concurrency: slots });
hearParent(() => {});
say('up');
