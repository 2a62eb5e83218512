import { describe, expect, it } from 'vitest';
import { startTelemetry } from '../../src/app/telemetry.ts';
import { recordingLog } from '../runtime/support.ts';

const ADDRESS = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };

async function wanted(env: Record<string, string>, prometheus = false) {
  const log = recordingLog();
  const running = await startTelemetry({ service: 's', instance: 'i', env, prometheus, log });
  const { tracing = null, metrics = null } = running?.telemetry ?? {};
  await running?.stop();
  const warned = log.lines.filter((line) => line.event === 'telemetry.not_supported').map((line) => line.fields.what);
  return { traces: tracing !== null, metrics: metrics !== null, warned };
}

describe('what the environment asks for', () => {
  it.each([
    ['nothing', {}, false, false],
    ['an address', ADDRESS, true, true],
    ['an address for traces', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ADDRESS.OTEL_EXPORTER_OTLP_ENDPOINT }, true, false],
    ['no figures', { ...ADDRESS, OTEL_METRICS_EXPORTER: 'none' }, true, false],
    ['no traces', { ...ADDRESS, OTEL_TRACES_EXPORTER: 'none' }, false, true],
    ['a named exporter alone', { OTEL_TRACES_EXPORTER: 'otlp' }, true, false],
    ['nothing at all', { ...ADDRESS, OTEL_SDK_DISABLED: 'true' }, false, false],
  ])('%s', async (_, env, traces, metrics) => {
    expect(await wanted(env as Record<string, string>)).toEqual({ traces, metrics, warned: [] });
  });

  it('is heard beside a scrape by Prometheus', async () => {
    expect(await wanted({}, true)).toMatchObject({ traces: false, metrics: true });
  });

  it('is refused by name when it is not spoken here', async () => {
    expect(await wanted({ OTEL_TRACES_EXPORTER: 'zipkin' })).toEqual({
      traces: false,
      metrics: false,
      warned: ['OTEL_TRACES_EXPORTER=zipkin'],
    });
    const grpc = await wanted({ ...ADDRESS, OTEL_METRICS_EXPORTER: 'none', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' });
    expect(grpc.warned).toEqual(['traces over grpc']);
  });
});
