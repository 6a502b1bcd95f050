import assert from 'node:assert/strict';
import { test } from 'node:test';

import { run } from 'hostel/testing';

import { subscriber } from '../src/handler.js';

test('greets by name', async () => {
  const { outcome, logs } = await run(subscriber, { topic: '{{topic}}', json: { name: 'Ada' } });
  assert.equal(outcome, 'ack');
  assert.equal(logs[0].text, 'hello, Ada');
});

test('rejects what names nobody', async () => {
  const { outcome, reason } = await run(subscriber, { topic: '{{topic}}', json: {} });
  assert.equal(outcome, 'reject');
  assert.equal(reason, 'no `name` in the event');
});
