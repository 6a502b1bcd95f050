import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Host, run } from 'hostel/testing';

import { subscriber } from '../src/validate-orders.js';

const order = {
  number: 7,
  customer: 'ada@example.org',
  items: [
    { sku: 'PEN-0001', quantity: 3, price: 0.1 },
    { sku: 'INK-0042', quantity: 1, price: 4.2 },
  ],
};
const received = (json: unknown) => ({ topic: 'orders.received', id: 'e-1', json });

test('a valid order goes on with its total', async () => {
  const { outcome, published, logs } = await run(subscriber, received(order));
  assert.equal(outcome, 'ack');
  assert.equal(published.length, 1);
  assert.deepEqual([published[0]?.topic, published[0]?.id], ['orders.valid', 'valid-e-1']);
  assert.deepEqual(published[0]?.json(), { ...order, total: 4.5 });
  assert.deepEqual(logs.map(({ text }) => text), ['order 7 of 2 items is valid']);
});

test('every problem of an order is named with its place', async () => {
  const items = [{ sku: 'pen', quantity: 0, price: 1 }];
  const { outcome, reason, published } = await run(subscriber, received({ ...order, customer: 'Ada', items, extra: 1 }));
  assert.equal(outcome, 'reject');
  assert.deepEqual(reason?.split('; '), [
    'customer: Invalid email address',
    'items[0].sku: is not three letters, a hyphen and four digits',
    'items[0].quantity: Too small: expected number to be >=1',
    'order: Unrecognized key: "extra"',
  ]);
  assert.deepEqual(published, []);
});

test('what is no order, or no JSON, is rejected', async () => {
  const check = async (event: { topic: string; json?: unknown; body?: string }, expected: RegExp) => {
    const { outcome, reason } = await run(subscriber, event);
    assert.equal(outcome, 'reject');
    assert.match(reason ?? '', expected);
  };
  await check(received(null), /^order: Invalid input: expected object, received null$/);
  await check(received({ ...order, items: [] }), /^items: is empty$/);
  await check({ topic: 'orders.received', body: '{' }, /^the body is not JSON: /);
});

test('an order waits while the host is overloaded', async () => {
  const host = new Host({ refuse: { 'orders.valid': { kind: 'overloaded', detail: 250 } } });
  const { outcome, after } = await host.run(subscriber, received(order));
  assert.deepEqual([outcome, after], ['retry', 250]);
});
