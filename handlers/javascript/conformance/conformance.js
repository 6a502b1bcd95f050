// Does what an event asks for and tells what came of it: the fixture by which every language is held to the same
// answers. `docs/languages.md` says what each behaviour does; `tests/tests/conformance.rs` asks for them.
//
// The behaviour is the header `Behaviour`. What came of it is published on `conformance.result`: as JSON, but for
// `echo`.

import { config, handler, init, publish, PublishError, Reject, requireConfig, Retry, SettleError } from 'hostel';
import { KeyValueError, open } from 'hostel/keyvalue';

const RESULT = 'conformance.result';
// The other topic that the manifest allows, and one that it does not.
const OTHER = 'conformance.other';
const DENIED = 'conformance.denied';

/** Events that this instance has counted. */
let count = 0;

export const lifecycle = init(() => {
  const why = config('refuse');
  if (why !== undefined) throw new Reject(`refused on demand: ${why}`);
});

export const subscriber = handler(async (event) => {
  const name = event.headers.get('Behaviour') ?? '';
  const behaviour = Object.hasOwn(BEHAVIOURS, name) ? BEHAVIOURS[name] : undefined;
  if (behaviour === undefined) throw new Reject(`there is no behaviour ${JSON.stringify(name)}`);
  const answer = await behaviour(event);
  if (answer !== undefined) tell(event, answer);
});

/** What each answers is told; undefined is not. */
const BEHAVIOURS = {
  echo,
  describe,
  publish: published,
  'publish-denied': () => void publish(DENIED, 'denied'),
  'key-value': keep,
  'key-value-denied': () => void open('forbidden'),
  config: () => ({ set: config('greeting'), unset: config('absent') ?? null }),
  'require-config': () => void requireConfig('absent'),
  log,
  clocks,
  random: () => ({ random: [random(), random()] }),
  http: ask,
  retry,
  reject() {
    throw new Reject('rejected on demand: nö');
  },
  ack: acknowledge,
  extend,
  async sleep(event) {
    await sleep(milliseconds(event));
    return {};
  },
  panic: outermost,
  count: () => ({ count: ++count }),
};

function tell(event, answer) {
  publish(RESULT, { json: answer, id: `result-${event.id}` });
}

/** The body as it came, and of the headers those that begin with `x-`. */
function echo(event) {
  const headers = [...event.headers].filter(([name]) => name.toLowerCase().startsWith('x-'));
  publish(RESULT, { headers, body: event.body, id: `result-${event.id}` });
}

function describe(event) {
  return {
    id: event.id,
    topic: event.topic,
    attempt: event.attempt,
    published_at_ms: event.publishedAt.getTime(),
    last_error: event.lastError ?? null,
    bytes: event.body.length,
    // Written otherwise than it is sent.
    header: event.headers.get('x-REPEATED') ?? null,
    missing: event.headers.get('X-Missing') ?? null,
  };
}

function published(event) {
  const id = publish(OTHER, { body: 'other', headers: { 'X-Kind': 'other' }, id: `other-${event.id}` });
  return { id, denied: refused(DENIED), invalid: refused('conformance..other') };
}

function refused(topic) {
  try {
    return ['unexpected', publish(topic, 'refused')];
  } catch (error) {
    if (!(error instanceof PublishError)) throw error;
    return [error.kind, error.message];
  }
}

function keep(event) {
  const bucket = open('conformance');
  const [key, number] = [`${event.id}-value`, `${event.id}-number`];
  const before = list(bucket.get(key));
  bucket.set(key, new Uint8Array([0, 255, 118]));
  const after = list(bucket.get(key));
  const exists = bucket.has(key);
  bucket.increment(number, 2);
  const sum = bucket.increment(number, 3);
  const keys = [...bucket.keys()];
  bucket.delete(key);
  return { before, after, exists, sum, keys, deleted: !bucket.has(key), denied: isBucketDenied() };
}

function isBucketDenied() {
  try {
    open('forbidden');
    return false;
  } catch (error) {
    return error instanceof KeyValueError && error.kind === 'access-denied';
  }
}

function log() {
  console.trace('at trace');
  console.debug('at debug');
  console.info('at info: grüß dich');
  console.warn('at warn');
  console.error('at error');
}

async function clocks(event) {
  const began = performance.now();
  await sleep(milliseconds(event));
  return { wall_ms: Date.now(), elapsed_ms: Math.floor(performance.now() - began) };
}

function random() {
  return list(crypto.getRandomValues(new Uint8Array(16)));
}

async function ask(event) {
  const sent = { method: 'POST', headers: { 'X-Sent': 'sent' }, body: event.body };
  const answer = await fetch(required(event, 'Url'), sent);
  const body = await answer.text();
  let denied = false;
  try {
    await fetch(required(event, 'Denied-Url'));
  } catch {
    denied = true;
  }
  return { status: answer.status, header: answer.headers.get('X-Answered'), body, denied };
}

function retry(event) {
  if (event.attempt > 1) return describe(event);
  const isTimed = event.headers.has('Milliseconds');
  throw new Retry('not yet: nö', isTimed ? { after: milliseconds(event) } : {});
}

/** What is published before holds, whatever happens after. */
function acknowledge(event) {
  publish(OTHER, 'before');
  event.ack();
  let alreadySettled = false;
  try {
    event.ack();
  } catch (error) {
    alreadySettled = error instanceof SettleError && error.kind === 'already-settled';
  }
  tell(event, { already_settled: alreadySettled });
  outermost(event);
}

async function extend(event) {
  const time = milliseconds(event);
  event.extend(time * 2);
  await sleep(time);
  try {
    event.extend(86_400_000);
    return { left_ms: 'unexpected' };
  } catch (error) {
    if (!(error instanceof SettleError)) throw error;
    return { left_ms: error.left ?? null };
  }
}

function outermost(event) {
  middle(event);
}

function middle(event) {
  innermost(event);
}

function innermost(event) {
  throw new TypeError(`failed on demand in attempt ${event.attempt}`);
}

function sleep(time) {
  return new Promise((resolve) => setTimeout(resolve, time));
}

function milliseconds(event) {
  return Number(required(event, 'Milliseconds'));
}

function required(event, name) {
  const value = event.headers.get(name);
  if (value === undefined) throw new Reject(`header \`${name}\` is missing`);
  return value;
}

function list(bytes) {
  return bytes === undefined ? null : Array.from(bytes);
}
