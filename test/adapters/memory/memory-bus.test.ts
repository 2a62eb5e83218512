import { MemoryBroker } from '../../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../../src/adapters/memory/simulated-clock.ts';
import { describeBus } from '../../contracts/bus.ts';

describeBus('MemoryBus', async () => {
  const clock = new SimulatedClock();
  const broker = new MemoryBroker({ clock });
  return {
    connect: async (inboxPrefix) => new MemoryBus(broker, 'node', inboxPrefix),
    pass: (ms) => clock.advance(ms),
    stop: async () => broker.close(),
  };
});
