import { describeBus } from '../../contracts/bus.ts';
import { startNatsServer } from '../../support/nats-server.ts';
import { connectTo, passReally } from './support.ts';

describeBus('NATS', async () => {
  const server = await startNatsServer();
  return {
    connect: (inboxPrefix) => connectTo(server, inboxPrefix === undefined ? {} : { inboxPrefix }),
    pass: passReally,
    stop: () => server.stop(),
  };
});
