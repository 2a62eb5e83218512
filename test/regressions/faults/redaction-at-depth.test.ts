import { expect, it } from 'vitest';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { recordingLog } from '../../runtime/support.ts';
import { say, statuses, tool, use } from '../support.ts';

/** The fault: secrets are taken out of the top level of what is logged and shown, and stay in whatever lies below. */
it('a secret far down in arguments and results is in no trace, status, result or log', async () => {
  const secret = 'hunter2-is-not-a-word';
  const args = { to: 'bank', login: [{ user: 'bob', more: { password: secret, tokens_in: 5 } }] };
  const log = recordingLog();
  const stack = await createTestStack({
    agents: [{ name: 'a', model: 'test/model', tools: ['*'] }],
    model: { think: async ({ step }) => (step === 1 ? use('send', args) : say('sent')) },
    tools: [tool('send', (given) => ({ headers: { list: [{ authorization: secret }] }, given }))],
    log,
  });
  const run = await stack.submit({ input: 'x' });
  const result = await stack.result(run);
  const shown = JSON.stringify([
    result,
    await stack.trace(run),
    await statuses(stack),
    await stack.until(stack.operator.run(run)),
    log.lines,
  ]);
  expect(shown).not.toContain(secret);
  // What is no secret stays, at the same depth.
  expect(shown).toContain('tokens_in');
  expect(shown).toContain('***REDACTED***');
  await stack.stop();
});
