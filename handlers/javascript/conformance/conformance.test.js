import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Host, run } from 'hostel/testing';

import { lifecycle, subscriber } from './conformance.js';

const asking = (behaviour, event = {}) => {
  const headers = [['Behaviour', behaviour], ...(event.headers ?? [])];
  return { topic: 'conformance.do', id: 'e-1', ...event, headers };
};

test('a body and its headers come back', async () => {
  const body = new Uint8Array([0, 255]);
  const { outcome, published } = await run(subscriber, asking('echo', { headers: [['X-A', '']], body }));
  assert.equal(outcome, 'ack');
  assert.deepEqual([published[0].headers, published[0].body], [[['X-A', ''], ['Hostel-Id', 'result-e-1']], body]);
});

test('an unknown behaviour is rejected', async () => {
  const { outcome, reason } = await run(subscriber, asking('toString'));
  assert.deepEqual([outcome, reason], ['reject', 'there is no behaviour "toString"']);
});

test('a config refuses the deployment', async () => {
  const { outcome, reason } = await new Host({ config: { refuse: 'no' } }).init(lifecycle);
  assert.deepEqual([outcome, reason], ['refused', 'refused on demand: no']);
});
