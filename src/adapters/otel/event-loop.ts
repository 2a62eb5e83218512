import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Meter } from '@opentelemetry/api';

/** How often the loop is looked at, milliseconds. */
const EVERY_MS = 20;
const NS = 1e9;

/** How late the event loop of this process is, since the last collection; names and units as OpenTelemetry has them for Node. */
export function observeEventLoop(meter: Meter): () => void {
  const delay = monitorEventLoopDelay({ resolution: EVERY_MS });
  delay.enable();
  const gauge = (name: string, description: string) => meter.createObservableGauge(name, { description, unit: 's' });
  const most = gauge('nodejs.eventloop.delay.max', 'Longest that the event loop was late');
  const p99 = gauge('nodejs.eventloop.delay.p99', 'How late the event loop was, 99th percentile');
  const observed = [most, p99];
  const collect = (result: { observe(of: typeof most, value: number): void }) => {
    if (delay.count === 0) return;
    // What is measured is the time between two looks.
    const late = (ns: number) => Math.max(0, ns / NS - EVERY_MS / 1_000);
    result.observe(most, late(delay.max));
    result.observe(p99, late(delay.percentile(99)));
    delay.reset();
  };
  meter.addBatchObservableCallback(collect, observed);
  return () => {
    meter.removeBatchObservableCallback(collect, observed);
    delay.disable();
  };
}
