import assert from 'node:assert/strict';
import { test } from 'node:test';

import { run } from 'hostel/testing';

import { subscriber } from './hello.js';

test('logs the event and acknowledges it', async () => {
  const { outcome, logs } = await run(subscriber, { topic: 'greetings.sent', id: 'e-1', attempt: 2, body: 'hi' });
  assert.equal(outcome, 'ack');
  const text = 'hello, event e-1 on greetings.sent, attempt 2, with 2 bytes';
  assert.deepEqual(logs, [{ level: 'info', context: 'console', text }]);
});

test('takes a body that is not text', async () => {
  assert.equal((await run(subscriber, { topic: 'greetings.sent', body: new Uint8Array([255, 0]) })).outcome, 'ack');
});
