// Publishing, and the key-value buckets.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { handler, publish, PublishError } from 'hostel';
import { open } from 'hostel/keyvalue';
import { Host, run } from 'hostel/testing';

const event = { topic: 'a' };
const publishing = (topic, message) => handler(() => void publish(topic, message));

test('text, bytes and JSON are published', async () => {
  const subscriber = handler(() => {
    assert.equal(publish('b.text', 'hi'), 'published-1');
    publish('b.bytes', new Uint8Array([0, 255]));
    assert.equal(publish('b.json', { json: { a: 1 }, id: 'mine', headers: { Kind: 'x' } }), 'mine');
  });
  const { outcome, published } = await run(subscriber, event);
  assert.equal(outcome, 'ack');
  assert.deepEqual(published.map(({ topic }) => topic), ['b.text', 'b.bytes', 'b.json']);
  assert.equal(published[0].text(), 'hi');
  assert.deepEqual(published[1].body, new Uint8Array([0, 255]));
  assert.deepEqual(published[2].json(), { a: 1 });
  assert.deepEqual(published[2].headers, [['Content-Type', 'application/json'], ['Kind', 'x'], ['Hostel-Id', 'mine']]);
});

test('a message that is none is refused by name', async () => {
  const reason = async (message) => (await run(publishing('b', message), event)).reason;
  assert.match(await reason({ name: 'Ada' }), /no key `name`; to publish an object, write \{ json: object \}/);
  assert.match(await reason({ json: 1, body: 'x' }), /`json` or `body`, not both/);
  assert.match(await reason(7), /a message is text, bytes or/);
});

test('what the host would refuse is rejected', async () => {
  const check = async (topic, message, expected) => {
    const { outcome, reason, published } = await run(publishing(topic, message), event);
    assert.deepEqual([outcome, reason, published], ['reject', `the message was refused: ${expected}`, []]);
  };
  await check('', 'x', 'topic is empty');
  await check('a..b', 'x', 'topic `a..b` has an empty token');
  await check('a b', 'x', "topic `a b` has ' '; allowed are A-Z, a-z, 0-9, ., _ and -");
  await check('a', { headers: { x: '\0' } }, 'the value of header `x` has a NUL character');
  await check('a', { headers: { x: 'v'.repeat(65536) } }, 'the headers of a message have at most 65536 bytes');
});

test('an error of publishing says what becomes of the event', async () => {
  const check = async (refusal, expected) => {
    const host = new Host({ refuse: { b: refusal } });
    const { outcome, after, error } = await host.run(publishing('b', 'x'), event);
    assert.deepEqual([outcome, after], expected);
    assert.ok(error instanceof PublishError);
    return error;
  };
  await check({ kind: 'denied' }, ['reject', undefined]);
  assert.equal((await check({ kind: 'too-large', detail: 8 }, ['reject', undefined])).limit, 8);
  assert.equal((await check({ kind: 'overloaded', detail: 70 }, ['retry', 70])).retryAfter, 70);
  await check({ kind: 'failed', detail: 'disk full' }, ['retry', undefined]);
});

test('a denied topic is denied with the cure', async () => {
  const { reason } = await new Host({ deny: ['b'] }).run(publishing('b', 'x'), event);
  assert.equal(reason, "publishing was denied: add \"b\" to `publish` in the handler's manifest");
});

test('a bucket keeps values between two events', async () => {
  const host = new Host();
  const count = handler((event) => {
    const bucket = open('visits');
    bucket.set('last', event.id);
    bucket.increment('count', 2);
  });
  await host.run(count, event);
  await host.run(count, { ...event, id: 'e-2' });
  let seen;
  const read = handler(() => {
    const bucket = open('visits');
    seen = [bucket.getText('last'), bucket.getText('count'), bucket.has('other'), bucket.get('other'), [...bucket.keys()]];
    bucket.delete('last');
    assert.equal(bucket.has('last'), false);
  });
  assert.equal((await host.run(read, event)).outcome, 'ack');
  assert.deepEqual(seen, ['e-2', '4', false, undefined, ['count', 'last']]);
});
