// Compiled, never run: what the types must allow, and after `@ts-expect-error` what they must not.

import { CloudEvent, handler, init, publish, publishCloudEvent, Reject, Retry } from 'hostel';
import { open } from 'hostel/keyvalue';
import { Host, run } from 'hostel/testing';

export const lifecycle = init(() => {});

export const subscriber = handler(async (event) => {
  const names: string[] = [...event.headers].map(([name]) => name);
  publish('a', event.body);
  publish('a', { json: names, id: event.id, headers: { A: 'b' } });
  publish('a', { body: 'text', headers: [['A', 'b']] });
  publishCloudEvent('a', new CloudEvent({ id: event.cloudEvent().id, source: '/s', type: 't', json: names }));
  // @ts-expect-error Every CloudEvent has a source.
  new CloudEvent({ id: '1', type: 't' });
  open('bucket').set('key', event.body);
  // @ts-expect-error A JSON body is unknown until it is checked.
  event.json().name;
  // @ts-expect-error It is the host's.
  event.id = 'other';
  // @ts-expect-error One or the other.
  publish('a', { json: 1, body: 'x' });
  if (event.attempt > 1) throw new Retry('later', { after: 1000, cause: event.lastError });
  throw new Reject('no');
});

export const check = async () => {
  const host = new Host({ config: { a: 'b' }, deny: ['c'], refuse: { d: { kind: 'overloaded', detail: 5 } } });
  const found = await host.run(subscriber, { topic: 'a', json: {} });
  const { outcome } = await run(subscriber, { topic: 'a', body: new Uint8Array() });
  return found.published[0]?.json() === outcome;
};
