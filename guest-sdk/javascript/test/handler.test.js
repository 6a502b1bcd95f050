// What a handler sees of an event, and what becomes of the event.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  BodyError, ConfigError, handler, init, publish, PublishError, Reject, requireConfig, Retry, SettleError,
} from 'hostel';
import { KeyValueError } from 'hostel/keyvalue';
import { Host, run } from 'hostel/testing';

const event = { topic: 'orders.created' };

/** Runs a function that throws and tells what became of the event. */
async function thrown(error) {
  const subscriber = handler(() => {
    throw error;
  });
  const { outcome, reason, after, logs } = await run(subscriber, event);
  return { outcome, reason, after, logged: logs.length };
}

test('an event tells what was published', async () => {
  const publishedAt = new Date(1_700_000_000_123);
  const seen = [];
  const subscriber = handler((event) => {
    seen.push(event.id, event.topic, event.attempt, event.publishedAt, event.lastError, event.text());
    seen.push(event.headers.get('KIND'), event.headers.getAll('kind'), event.headers.has('other'), [...event.headers]);
  });
  const headers = [['Kind', 'a'], ['kind', 'b']];
  const given = { ...event, id: 'e-1', attempt: 2, publishedAt, headers, body: 'tëxt', lastError: 'no room' };
  assert.equal((await run(subscriber, given)).outcome, 'ack');
  const expected = ['e-1', 'orders.created', 2, publishedAt, 'no room', 'tëxt', 'a', ['a', 'b'], false, headers];
  assert.deepEqual(seen, expected);
});

test('a body is bytes', async () => {
  let body;
  const subscriber = handler((event) => {
    body = event.body;
  });
  await run(subscriber, { ...event, body: new Uint8Array([0, 255]) });
  assert.deepEqual(body, new Uint8Array([0, 255]));
});

test('a body that is not what it should be is rejected', async () => {
  const text = handler((event) => void event.text());
  const json = handler((event) => void event.json());
  const bad = await run(text, { ...event, body: new Uint8Array([0x61, 0xff]) });
  assert.deepEqual([bad.outcome, bad.reason], ['reject', 'the body is not UTF-8 text']);
  const { outcome, reason, error } = await run(json, { ...event, body: '{' });
  assert.equal(outcome, 'reject');
  assert.match(reason, /^the body is not JSON: /);
  assert.ok(error instanceof BodyError);
});

test('what is thrown on purpose decides and is not logged', async () => {
  const expect = (outcome, reason, after) => ({ outcome, reason, after, logged: 0 });
  assert.deepEqual(await thrown(new Retry('closed')), expect('retry', 'closed', undefined));
  assert.deepEqual(await thrown(new Retry('closed', { after: 1.2 })), expect('retry', 'closed', 2));
  assert.deepEqual(await thrown(new Reject('no items')), expect('reject', 'no items', undefined));
});

test('any other exception is a trap and its stack is logged', async () => {
  function innermost() {
    throw new TypeError('no such course');
  }
  const { outcome, reason, logs, error } = await run(handler(async () => innermost()), event);
  assert.deepEqual([outcome, reason], ['trap', 'TypeError: no such course']);
  assert.ok(logs.every(({ level, context }) => level === 'error' && context === 'exception'));
  assert.equal(logs[0].text, 'TypeError: no such course');
  assert.match(logs[1].text, /^    at innermost .*handler\.test\.js:/);
  assert.ok(error instanceof TypeError);
});

test('a deep stack and the causes of an error are told in few lines', async () => {
  const deeper = () => deeper();
  const cause = new Error('inner');
  const subscriber = handler(() => {
    try {
      deeper();
    } catch (error) {
      throw new Error('outer', { cause: Object.assign(error, { cause, stack: `${error}\n${'    at deeper\n'.repeat(500)}` }) });
    }
  });
  const texts = (await run(subscriber, event)).logs.map(({ text }) => text);
  assert.ok(texts.length < 60, String(texts.length));
  assert.ok(texts.includes('    and 476 more'), texts.join('\n'));
  assert.ok(texts.includes('caused by: Error: inner'), texts.join('\n'));
});

test('what is thrown and no error is a trap that says so', async () => {
  assert.equal((await thrown('text')).outcome, 'trap');
  assert.equal((await thrown('text')).reason, 'threw text');
  assert.equal((await thrown({ code: 7 })).reason, 'threw {"code":7}');
  assert.equal((await thrown(undefined)).reason, 'threw undefined');
});

test('what the package throws is no fault', async () => {
  const outcome = async (error) => (await thrown(error)).outcome;
  assert.equal(await outcome(new KeyValueError('access-denied', '')), 'reject');
  assert.equal(await outcome(new KeyValueError('other', '')), 'retry');
  assert.equal(await outcome(new ConfigError('')), 'retry');
  assert.equal(await outcome(new SettleError('failed', 'why')), 'retry');
});

test('the cause of an error is told and may decide', async () => {
  const wrapped = new Error('cannot tell the others', { cause: new PublishError('overloaded', 250n) });
  const reason = 'Error: cannot tell the others: the host is overloaded; try again in 250 ms';
  assert.deepEqual(await thrown(wrapped), { outcome: 'retry', reason, after: 250, logged: 0 });
  const own = new Error('own');
  own.cause = own;
  assert.equal((await thrown(own)).reason, 'Error: own');
});

test('an event is not used after its handler has returned', async () => {
  let kept;
  await run(handler((event) => void (kept = event) && event.id), event);
  assert.throws(() => kept.body, /used after its handler had returned/);
});

test('an acknowledgement and an extension are told', async () => {
  const subscriber = handler((event) => {
    event.extend(1500.5);
    event.ack();
    assert.throws(() => event.ack(), { kind: 'already-settled', message: 'the delivery was settled before' });
    assert.throws(() => event.extend(-1), RangeError);
  });
  const { outcome, acked, extended, reason } = await run(subscriber, event);
  assert.deepEqual([outcome, acked, extended, reason], ['ack', true, [1501], undefined]);
});

test('the console writes the log', async () => {
  const subscriber = handler(() => {
    console.log('one', 2, { three: [4n.toString()] }, new Map([['a', 1]]));
    console.warn('%s has %d', 'it', '5', 'more');
    console.error(new Error('bad'));
  });
  const { logs } = await run(subscriber, event);
  assert.deepEqual(logs.slice(0, 2), [
    { level: 'info', context: 'console', text: 'one 2 {"three":["4"]} {"a":1}' },
    { level: 'warn', context: 'console', text: 'it has 5 more' },
  ]);
  assert.deepEqual(logs[2], { level: 'error', context: 'console', text: 'Error: bad' });
  assert.match(logs[3].text, /^    at /);
});

test('runs beside each other keep apart', async () => {
  const subscriber = handler(async (event) => {
    await new Promise((resolve) => setImmediate(resolve));
    console.log(event.id);
    publish('a', { json: requireConfig('key') });
  });
  const ids = Array.from({ length: 20 }, (_, index) => `e-${index}`);
  const runs = await Promise.all(
    ids.map((id) => new Host({ config: { key: `of ${id}` } }).run(subscriber, { ...event, id })),
  );
  assert.deepEqual(runs.map(({ logs }) => logs.map(({ text }) => text)), ids.map((id) => [id]));
  assert.deepEqual(runs.map(({ published }) => published[0].json()), ids.map((id) => `of ${id}`));
});

test('init sees the config and its failure refuses', async () => {
  const lifecycle = init(() => void requireConfig('rate'));
  assert.equal((await new Host({ config: { rate: '1' } }).init(lifecycle)).outcome, 'ack');
  const { outcome, reason } = await new Host().init(lifecycle);
  assert.equal(outcome, 'refused');
  assert.equal(reason, "config key `rate` is not set; set it under `[config]` in the handler's manifest");
});
