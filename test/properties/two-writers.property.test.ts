import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { encodeEntry, type JournalEntry } from '../../src/core/journal-entry.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { Journal } from '../../src/runtime/journal.ts';
import { silent } from '../runtime/support.ts';

const RUN = '20260101-w-1';

describe('two writers of one journal', () => {
  it('leave one history, in whatever order their messages arrive and whichever acknowledgements are lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.boolean(), { maxLength: 30 }),
        fc.nat(6),
        async (scheduler, losses, gap) => {
          const clock = new SimulatedClock();
          const broker = new MemoryBroker({ clock });
          const subjects = new Subjects();
          const setup = new Journal(new MemoryBus(broker, 'setup'), subjects, silent);
          await setup.ensurePeriod('20260101');
          broker.carry = (label) => scheduler.schedule(Promise.resolve(), label);
          let published = 0;
          broker.intercept = ({ kind, attempt }) =>
            kind === 'publish' && attempt === 1 && losses[published++] === true ? 'lost_ack' : 'ok';

          const stored: string[] = [];
          const writer = async (name: string, ahead: number) => {
            const journal = new Journal(new MemoryBus(broker, name), subjects, silent);
            for (let n = 0; n < 6 + ahead; n++) {
              const entry: JournalEntry = {
                v: 1,
                n,
                epoch: -1,
                writer: name,
                at: n,
                events: [{ type: 'timer', due: n }],
              };
              if ((await journal.append(RUN, entry)) === 'fenced') return n;
              stored.push(encodeEntry(entry));
            }
            return null;
          };
          let done = false;
          const both = Promise.all([writer('a', 0), writer('b', gap)]).then((fenced) => {
            done = true;
            return fenced;
          });
          while (!done) {
            await scheduler.waitIdle();
            await clock.advance(1_000);
          }
          const fenced = await both;

          broker.carry = () => Promise.resolve();
          const history: string[] = [];
          for await (const message of new MemoryBus(broker).scan(subjects.stream('JRN', '20260101'), 'proctor.jrn.>'))
            history.push(message.data);
          // What a writer was told is stored is in the history, at its place, and nothing else is.
          expect(new Set(stored)).toEqual(new Set(history));
          expect(stored).toHaveLength(history.length);
          expect(history.map((text) => (JSON.parse(text) as JournalEntry).n)).toEqual(history.map((_, n) => n));
          // Both began at 0, so exactly one was fenced, at the first entry of the other.
          expect(fenced.filter((n) => n !== null)).toHaveLength(1);
          expect(new Set(history.map((text) => (JSON.parse(text) as JournalEntry).writer)).size).toBeLessThanOrEqual(2);
        },
      ),
      { numRuns: 300 },
    );
  }, 120_000);
});
