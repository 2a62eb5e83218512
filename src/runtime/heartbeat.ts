import { toAppError } from '../core/errors.ts';
import type { Cancel } from '../ports/clock.ts';
import type { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';

/**
 * Signs of life for all runs owned, three times a lease. A process that stood still or was cut off for longer than the
 * lease may have lost them: it looks at the journals before it claims to be alive again.
 */
export function startHeartbeat({ bus, clock, settings, log }: NodeDeps, activations: Activations): Cancel {
  const every = Math.floor(settings.lease_ms / 3);
  let last = clock.now();
  let cancel: Cancel;
  const beat = () => {
    cancel = clock.after(every, beat);
    // What the server does not hear is no sign of life.
    if (!bus.connected) return;
    const now = clock.now();
    const stood = now - last;
    last = now;
    if (stood > settings.lease_ms) {
      log.warn('node.stood_still', {
        ms: stood,
        lease_ms: settings.lease_ms,
        consequence: 'runs may have moved to other nodes',
      });
      verify();
    } else {
      activations.heartbeat();
    }
  };
  const verify = () => {
    const verified = activations.verifyAll().then(() => activations.heartbeat());
    verified.catch((error: unknown) => log.warn('node.verify_failed', { message: toAppError(error).message }));
  };
  // After a fault of ours the leases were not kept for a while.
  if (activations.owners.size > 0) verify();
  cancel = clock.after(every, beat);
  return () => cancel();
}
