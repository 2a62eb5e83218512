import { Hono } from 'hono';
import type { Operator, Verdict } from '../../client/operator.ts';
import { AppError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { redact } from '../../core/redact.ts';
import { runScope } from '../../core/switch-scope.ts';
import { DEFAULT_RUNS, MAX_RUNS } from '../../core/tree-wire.ts';
import type { ApprovalsState } from './approvals.ts';
import type { Person } from './auth/accounts.ts';
import { type Env, type GuardOptions, mayOrder } from './auth/guard.ts';
import {
  BreakerBody,
  checked,
  DeadLetterBody,
  DecideBody,
  NodeOrderBody,
  QueueBody,
  ResolveBody,
  RunOrderBody,
  SwitchBody,
} from './bodies.ts';
import { type ClusterState, collected } from './cluster-state.ts';

/** What nodes answer, and orders to them: each stamped with who gives it and why. */

export interface ClusterApiOptions {
  guard: GuardOptions;
  /** The operator's client of one person. */
  operatorOf(by: string): Operator;
  state: ClusterState;
  approvals: ApprovalsState;
}

export function clusterApi({ guard, operatorOf, state, approvals }: ClusterApiOptions): Hono<Env> {
  const app = new Hono<Env>();
  const reader = operatorOf('console');
  const byOf = ({ name, role }: Person) => operatorOf(`${name} (${role}, console)`.slice(0, 128));
  const operator = mayOrder(guard, 'operator');

  app.get('/runs/:run/why', async (c) => c.json(await reader.why(c.req.param('run'))));
  app.get('/agents', async (c) => c.json(await collected(reader.agents())));
  app.get('/agents/:name', async (c) => {
    const version = c.req.query('version');
    return c.json(redact(await reader.agent(c.req.param('name'), version)) as object);
  });
  app.get('/tools', async (c) => c.json(await reader.tools()));
  app.get('/tools/:name', async (c) => c.json(await reader.tool(c.req.param('name'))));
  app.get('/trees', async (c) => {
    const runs = Number(c.req.query('runs') ?? DEFAULT_RUNS);
    return c.json(
      redact(await reader.trees({ runs: Math.min(MAX_RUNS, Number.isSafeInteger(runs) ? runs : 0) })) as object[],
    );
  });
  app.get('/queue', async (c) => c.json(await collected(reader.queue())));
  app.get('/queue/:run', async (c) => c.json(await reader.queueItem(c.req.param('run'))));
  app.post('/queue/:run', mayOrder(guard, 'approver'), async (c) => {
    const body = checked(QueueBody, await c.req.json());
    const by = byOf(c.get('person'));
    const run = c.req.param('run');
    if (body.order === 'claim') return c.json(await by.queueClaim(run));
    if (body.order === 'release') return c.json(await by.queueRelease(run));
    const { order: _, ...word } = body;
    return c.json(await by.queueDone(run, word));
  });
  app.get('/breakers', async (c) => c.json(await reader.breakers()));
  app.post('/breakers/reset', operator, async (c) => {
    const { target, why } = checked(BreakerBody, await c.req.json());
    await byOf(c.get('person')).resetBreaker(target, why);
    return c.json({});
  });
  app.get('/switches', async (c) => c.json(await collected(reader.switches({ history: true }))));
  app.get('/dead-letters', async (c) => c.json(redact(await collected(reader.deadLetters())) as object[]));
  app.get('/dead-letters/:id', async (c) => c.json(redact(await reader.deadLetter(c.req.param('id'))) as object));

  app.post('/runs/:run/order', operator, async (c) => {
    const body = checked(RunOrderBody, await c.req.json());
    const by = byOf(c.get('person'));
    const run = c.req.param('run');
    switch (body.order) {
      case 'kill':
        return c.json(await by.switch(runScope(run), 'kill', body.why));
      case 'continue':
        return c.json(
          await by.continue(run, { why: body.why, ...(body.limits === undefined ? {} : { limits: body.limits }) }),
        );
      default:
        return c.json(await by[body.order](run, body.why));
    }
  });
  app.post('/runs/:run/resolve', mayOrder(guard, 'approver'), async (c) => {
    const { c: call, why, ...said } = checked(ResolveBody, await c.req.json());
    const verdict = verdictOf(said, why);
    return c.json(await byOf(c.get('person')).resolve(c.req.param('run'), call, verdict, why));
  });
  app.post('/approvals/decide', mayOrder(guard, 'approver'), async (c) => {
    const { run, c: call, approver, ...signed } = checked(DecideBody, await c.req.json());
    return c.json(await approvals.decide(run, call, approver, signed));
  });
  app.post('/switches', operator, async (c) => {
    const { scope, mode, why, confirm } = checked(SwitchBody, await c.req.json());
    if (confirm !== scope) {
      throw new AppError('invalid_request', 'confirm: expected the scope, typed once more', { field: 'confirm' });
    }
    const done = await byOf(c.get('person')).switch(scope, mode, why);
    await state.refresh();
    return c.json(done);
  });
  app.post('/nodes/order', operator, async (c) => {
    const { node, order, why } = checked(NodeOrderBody, await c.req.json());
    const done = await byOf(c.get('person')).nodeOrder(node, order, why);
    await state.refresh();
    return c.json(done);
  });
  app.post('/dead-letters/retry', operator, async (c) => {
    const { id } = checked(DeadLetterBody, await c.req.json());
    return c.json(await byOf(c.get('person')).deadLetterRetry(id));
  });
  return app;
}

function verdictOf(
  said: { verdict: 'done'; result?: Json | undefined } | { verdict: 'repeat' | 'fail' },
  why: string,
): Verdict {
  if (said.verdict === 'repeat') return { verdict: 'repeat' };
  if (said.verdict === 'fail') return { verdict: 'fail', why };
  return 'result' in said && said.result !== undefined ? { verdict: 'done', result: said.result } : { verdict: 'done' };
}
