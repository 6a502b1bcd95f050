// CloudEvents: read, published, and what is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CloudEvent, handler, publishCloudEvent } from 'hostel';
import { run } from 'hostel/testing';

const MINIMUM = [['Ce-Specversion', '1.0'], ['ce-id', '1'], ['CE-SOURCE', '/s'], ['ce-type', 't']];

const read = async (headers, body = '') => {
  let event;
  const found = await run(handler((delivered) => void (event = delivered.cloudEvent())), { topic: 'a', headers, body });
  return { ...found, event };
};

test('a CloudEvent is read with what nobody knows', async () => {
  const { event, outcome } = await read(
    [
      ...MINIMUM,
      ['ce-subject', 'Euro%20%e2%82%ac'],
      ['ce-time', '2018-04-05T03:56:24Z'],
      ['ce-comexample', '"a \\"b\\""'],
      ['ce-raw', '{"a": 5}'],
      ['Content-Type', 'application/json'],
      ['X-Other', '1'],
    ],
    '{"a":1}',
  );
  assert.equal(outcome, 'ack');
  assert.deepEqual([event.id, event.source, event.type, event.subject], ['1', '/s', 't', 'Euro €']);
  assert.equal(new Date(event.time).getTime(), 1522900584000);
  assert.deepEqual(event.extensions, { comexample: 'a "b"', raw: '{"a": 5}' });
  assert.equal(event.datacontenttype, 'application/json');
  assert.deepEqual(event.json(), { a: 1 });
});

test('what is no CloudEvent is rejected with its reason', async () => {
  const check = async (headers, expected) => {
    const { outcome, reason } = await read(headers);
    assert.deepEqual([outcome, reason], ['reject', expected]);
  };
  await check([], 'the event is no CloudEvent: it has no header `ce-specversion`');
  await check([['ce-specversion', '1.0']], 'attribute `id` is missing');
  await check([['ce-specversion', '0.3']], 'the value of attribute `specversion` is malformed');
  for (const value of ['%C0%A0', '100%', '"a', '"a" b', '"\\']) {
    await check([...MINIMUM, ['ce-ext', value]], 'the value of attribute `ext` is malformed');
  }
  await check([...MINIMUM, ['ce-my-ext', '']], 'an extension cannot be called `my-ext`; names are of a-z and 0-9');
});

test('what is published is read again', async () => {
  const event = new CloudEvent({
    id: '7',
    source: '/orders',
    type: 'com.example.packed',
    subject: '100% "sure" € 😀\\',
    time: new Date(0),
    dataschema: 'https://example.com/s',
    extensions: { empty: '', number: '5' },
    json: [1],
  });
  const { outcome, published } = await run(handler(() => void publishCloudEvent('orders.packed', event)), { topic: 'a' });
  assert.equal(outcome, 'ack');
  assert.deepEqual(published[0].headers[4], ['ce-subject', '100%25%20%22sure%22%20%E2%82%AC%20%F0%9F%98%80\\']);
  assert.deepEqual((await read(published[0].headers, published[0].body)).event, event);
});

test('what cannot be published is rejected', async () => {
  const check = async (make, expected) => {
    const { outcome, reason } = await run(handler(() => void publishCloudEvent('b', make())), { topic: 'a' });
    assert.deepEqual([outcome, reason], ['reject', `the message was refused: ${expected}`]);
  };
  await check(() => new CloudEvent({ source: '/s', type: 't' }), 'attribute `id` is missing');
  for (const name of ['A', '', 'a-b', 'time', 'data']) {
    const make = () => new CloudEvent({ id: '1', source: '/s', type: 't', extensions: { [name]: '' } });
    await check(make, `an extension cannot be called \`${name}\`; names are of a-z and 0-9`);
  }
  assert.throws(() => new CloudEvent({ id: '1', kind: 'x' }), /no key `kind`; write \{ extensions: \{ kind: … \} \}/);
});
