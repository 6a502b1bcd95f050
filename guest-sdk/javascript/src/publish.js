// Publishing messages on topics of the handler's own tenant.

import * as host from '#host/publisher';

import { PublishError } from './errors.js';

const KEYS = new Set(['body', 'json', 'headers', 'id']);

export function publish(topic, message) {
  const { headers, body } = encode(message);
  try {
    return host.publish(topic, { headers, body });
  } catch (error) {
    const { tag, val } = error?.payload ?? {};
    throw tag === undefined ? error : new PublishError(tag, val);
  }
}

function encode(message) {
  if (typeof message === 'string' || message instanceof Uint8Array) return { headers: [], body: bytes(message) };
  if (message === null || typeof message !== 'object') {
    throw new TypeError(`a message is text, bytes or { json, body, headers, id }, not ${String(message)}`);
  }
  const unknown = Object.keys(message).find((key) => !KEYS.has(key));
  if (unknown !== undefined) {
    throw new TypeError(`a message has no key \`${unknown}\`; to publish an object, write { json: object }`);
  }
  if ('json' in message && 'body' in message) throw new TypeError('a message has `json` or `body`, not both');
  const headers = pairs(message.headers);
  if (message.id !== undefined) headers.push(['Hostel-Id', String(message.id)]);
  if (!('json' in message)) return { headers, body: bytes(message.body ?? '') };
  const text = JSON.stringify(message.json);
  if (text === undefined) throw new PublishError('invalid', 'the value of `json` cannot be written as JSON');
  if (!headers.some(([name]) => name.toLowerCase() === 'content-type')) {
    headers.unshift(['Content-Type', 'application/json']);
  }
  return { headers, body: bytes(text) };
}

function pairs(headers = []) {
  const entries = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return entries.map(([name, value]) => [String(name), String(value)]);
}

function bytes(body) {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return body;
  throw new TypeError(`a body is text or a Uint8Array, not ${String(body)}`);
}
