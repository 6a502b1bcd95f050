// Checks orders against a schema: valid ones go on with their total, others become dead letters with the list of what
// is wrong with them.

import { handler, publish, Reject } from 'hostel';

import { check, total } from './order.js';

export const subscriber = handler((event) => {
  const checked = check(event.json());
  if ('problems' in checked) throw new Reject(checked.problems.join('; '));
  const { order } = checked;
  publish('orders.valid', { json: { ...order, total: total(order) / 100 }, id: `valid-${event.id}` });
  console.info(`order ${order.number} of ${order.items.length} items is valid`);
});
