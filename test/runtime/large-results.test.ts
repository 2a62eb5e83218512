import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { StoredResult } from '../../src/core/blob.ts';
import { AppError } from '../../src/core/errors.ts';
import { periodOfRun } from '../../src/core/ids.ts';
import { blobStream } from '../../src/core/streams.ts';
import type { Observation } from '../../src/ports/model.ts';
import { clientOf } from '../client/support.ts';
import { Cluster } from './support.ts';

const rows = Array.from({ length: 20_000 }, (_, i) => ({ id: i, name: `row ${i}` }));
const text = JSON.stringify({ rows });

const MEGABYTE = new Uint8Array(1_000_000);

/**
 * Lets simulated time go by until a promise has settled. Digests are made beside the event loop, in real time: each
 * look lasts as long as one of a large result.
 */
async function drive<T>(cluster: Cluster, promise: Promise<T>): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => undefined);
  await cluster.until('settled promise', async () => {
    await crypto.subtle.digest('SHA-256', MEGABYTE);
    return settled;
  });
  return watched;
}

/** A tool whose result lies beside the journal, in parts, as the source of remote tools stores it. */
function withLargeTool(cluster: Cluster): Cluster {
  cluster.tools.add('rows', async (_args, { run, c }) => {
    await cluster.client.ensureStream(blobStream(cluster.subjects, periodOfRun(run)));
    const sha256 = createHash('sha256').update(text).digest('hex');
    const half = Math.floor(text.length / 2);
    for (const [part, data] of [text.slice(0, half), text.slice(half)].entries()) {
      await cluster.client.publish(cluster.subjects.blob(run, c, sha256, part), data);
    }
    return new StoredResult({ sha256, bytes: text.length, parts: 2 }, text.slice(0, 100));
  });
  return cluster;
}

const plan = (answer?: unknown) => ({
  input: 'x',
  plan: { steps: [{ id: 'a', tool: 'rows' }], ...(answer === undefined ? {} : { answer }) },
});

describe('a result that is too large for the journal', () => {
  it('is read whole where a plan refers to it', async () => {
    const cluster = withLargeTool(new Cluster());
    await cluster.node();
    await cluster.submit(plan({ $ref: 'a', query: 'rows[19999].name' }));
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer: 'row 19999' });
  });

  it('is told of by where it lies when a plan asks for no part of it', async () => {
    const cluster = withLargeTool(new Cluster());
    await cluster.node();
    await cluster.submit(plan());
    const answer = { step: 'a', call: '2-0', bytes: Buffer.byteLength(text), preview: text.slice(0, 100) };
    expect(await cluster.result()).toMatchObject({ status: 'completed', answer });
  });

  it('stands in the window as its beginning and its size', async () => {
    const cluster = withLargeTool(new Cluster({ name: 'ai', model: 'ai' }));
    let seen: Observation | undefined;
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'tool_call', calls: [{ tool: 'rows', args: {} }] }),
      async (input) => {
        seen = (await input.window())[0]?.observations[0];
        return scripted({ action: 'final_answer', answer: 'many' });
      },
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    await cluster.result();
    expect(seen).toMatchObject({ status: 'ok', result: text.slice(0, 100), large: { bytes: text.length } });
  });

  it('is found by a run that continues the one that got it', async () => {
    const cluster = withLargeTool(new Cluster());
    await cluster.node();
    await cluster.submit({ ...plan({ $ref: 'a', query: 'length(rows)' }), limits: { steps: 1 } });
    const { run, code } = await cluster.result();
    expect(code).toBe('max_steps');
    const next = await drive(cluster, clientOf(cluster).continue(run));
    const result = await cluster.until('second result', async () =>
      (await cluster.results()).find((one) => one.run === next.run),
    );
    expect(result).toMatchObject({ status: 'completed', answer: 20_000 });
    expect(cluster.tools.calls).toHaveLength(1);
  });

  it('is given whole to who asks for the call, as a small one is; a failed call gives its error', async () => {
    const cluster = withLargeTool(new Cluster());
    cluster.tools.add('fails', () => {
      throw new AppError('forbidden', 'not for you');
    });
    await cluster.node();
    const steps = [
      { id: 'a', tool: 'rows' },
      { id: 'b', tool: 'echo', args: { text: 'small' } },
      { id: 'c', tool: 'fails' },
    ];
    await cluster.submit({ input: 'x', plan: { steps } });
    const { run } = await cluster.result();
    const [large, small, failed] = (await drive(cluster, clientOf(cluster).trace(run))).steps
      .flatMap(({ calls }) => calls)
      .map(({ c }) => c);
    const read = (call = '', user = 'u') => drive(cluster, clientOf(cluster, user).callResult(run, call));
    expect(await read(large)).toEqual({ rows });
    expect(await read(small)).toEqual({ text: 'small' });
    await expect(read(failed)).rejects.toMatchObject({
      code: 'call_failed',
      message: expect.stringContaining('not for you'),
    });
    await expect(read('99-0')).rejects.toMatchObject({ code: 'no_result' });
    await expect(read(large, 'mallory')).rejects.toMatchObject({ code: 'unknown_run' });
  });

  it('that was damaged is not handed out', async () => {
    const cluster = new Cluster();
    cluster.tools.add('forged', async (_args, { run, c }) => {
      await cluster.client.ensureStream(blobStream(cluster.subjects, periodOfRun(run)));
      const sha256 = 'f'.repeat(64);
      await cluster.client.publish(cluster.subjects.blob(run, c, sha256, 0), '"forged"');
      return new StoredResult({ sha256, bytes: 8, parts: 1 }, '"forged"');
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'forged' }], answer: 'done' } });
    const { run } = await cluster.result();
    await expect(drive(cluster, clientOf(cluster).callResult(run, '2-0'))).rejects.toMatchObject({
      code: 'blob_corrupt',
    });
  });

  it('that is not there any more fails the step with its name, not the node', async () => {
    const cluster = new Cluster();
    const sha256 = 'f'.repeat(64);
    cluster.tools.add('lost', () => new StoredResult({ sha256, bytes: 10, parts: 1 }, '{'));
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'lost' }], answer: { $ref: 'a' } } });
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'failed', code: 'error' });
    expect(result.error?.reason).toContain('call 2-0');
  });
});
