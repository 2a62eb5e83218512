// Tools of your own. With `proctor up` running in another terminal:
//   proctor worker examples/workers/orders.ts
// then submit a task whose plan uses them:
//   {"input":"x","plan":{"steps":[{"id":"o","tool":"find_order","args":{"order":"A-17"}}]}}
import { defineTool, toolError } from 'proctor';
import { z } from 'zod';

const orders = new Map([['A-17', { customer: 'Ada', total: 49.9 }]]);
const refunds = new Map<string, number>();

const findOrder = defineTool({
  name: 'find_order',
  description: 'Looks an order up by its number.',
  parameters: z.object({ order: z.string().describe('order number, such as A-17') }),
  result: z.object({ customer: z.string(), total: z.number() }),
  effect: 'read',
  // What policies give permissions for.
  resourceField: 'order',
  idempotent: true,
  handler: ({ order }) => {
    const found = orders.get(order);
    if (found === undefined) throw toolError('not_found', `there is no order ${order}`, { field: 'order' });
    return found;
  },
});

const refund = defineTool({
  name: 'refund_order',
  description: 'Pays money of an order back.',
  parameters: z.object({ order: z.string(), amount: z.number().positive() }),
  risk: 'medium',
  amountField: 'amount',
  resourceField: 'order',
  // A repeat comes with the same key, and finds the refund made.
  idempotent: true,
  handler: ({ amount }, { idempotencyKey }) => {
    const refunded = refunds.get(idempotencyKey) ?? amount;
    refunds.set(idempotencyKey, refunded);
    return { refunded };
  },
});

export const tools = [findOrder, refund];
