// Publishing in a test. It refuses what the host would refuse.

import { failed, host } from './current.js';

export function publish(topic, { headers, body }) {
  const wrong = checkTopic(topic) ?? checkHeaders(headers);
  if (wrong !== undefined) throw failed({ tag: 'invalid', val: wrong });
  const { refused, run } = host();
  const refusal = refused.get(topic);
  if (refusal !== undefined) throw failed(refusal);
  const given = headers.find(([name]) => name.toLowerCase() === 'hostel-id')?.[1];
  // Counted, so that a test can foresee it.
  const id = given ?? `published-${run.published.length + 1}`;
  run.publish({ id, topic, headers, body: Uint8Array.from(body) });
  return id;
}

const bytes = (text) => new TextEncoder().encode(text).length;

/** The host's rule for topics: 1 to 255 bytes of `A-Z a-z 0-9 . _ -` and no empty token. */
function checkTopic(topic) {
  if (topic === '') return 'topic is empty';
  if (bytes(topic) > 255) return `topic has ${bytes(topic)} bytes, more than 255`;
  if (topic.split('.').includes('')) return `topic \`${topic}\` has an empty token`;
  const found = /[^A-Za-z0-9._-]/u.exec(topic);
  return found ? `topic \`${topic}\` has '${found[0]}'; allowed are A-Z, a-z, 0-9, ., _ and -` : undefined;
}

/**
 * The host's rule for headers: names of 1 to 256 bytes without white space and control characters, values without NUL,
 * at most 128 of them and 64 KiB together.
 */
function checkHeaders(headers) {
  for (const [name, value] of headers) {
    if (name === '' || bytes(name) > 256 || /[\s\p{Cc}]/u.test(name)) {
      return `header name ${JSON.stringify(name)} is not 1 to 256 bytes without white space and control characters`;
    }
    if (value.includes('\0')) return `the value of header \`${name}\` has a NUL character`;
  }
  if (headers.length > 128) return 'a message has at most 128 headers';
  const total = headers.reduce((sum, [name, value]) => sum + bytes(name) + bytes(value), 0);
  return total > 64 * 1024 ? 'the headers of a message have at most 65536 bytes' : undefined;
}
