import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { TOOL_DEFINITION } from './tool.ts';
import { RESULT, type StepProcessOptions } from './wire.ts';

/** The tool worker of the benchmark. */

const { url, prefix } = childOptions<StepProcessOptions>();
const subjects = new Subjects(prefix);
const bus = await connectBus({ url }, 'bench-worker', subjects, silent);
const tools = [{ definition: TOOL_DEFINITION, handler: () => RESULT, concurrency: 1_000 }];
await serveTools({ bus, subjects, clock: systemClock(), log: silent, id: 'bench', tools, concurrency: 1_000 });
hearParent(() => {});
say('up');
