// The event that is being delivered.

import { cloudEventOf } from './cloudevent.js';
import { BodyError, SettleError } from './errors.js';

/** Name and value of each header, in order. */
export class Headers {
  #entries;

  constructor(entries) {
    this.#entries = entries;
  }

  get(name) {
    return this.#entries.find(([own]) => sameName(own, name))?.[1];
  }

  getAll(name) {
    return this.#entries.filter(([own]) => sameName(own, name)).map(([, value]) => value);
  }

  has(name) {
    return this.get(name) !== undefined;
  }

  *[Symbol.iterator]() {
    for (const [name, value] of this.#entries) yield [name, value];
  }
}

// The host compares ASCII letters only; lower-casing maps a few others too, such as the Kelvin sign.
function sameName(one, other) {
  const lower = (name) => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return lower(one) === lower(other);
}

// The engine makes an ordinary array of a list without elements.
export function bytes(list) {
  return list instanceof Uint8Array ? list : new Uint8Array(list);
}

/** One delivery of an event. What it tells is asked of the host when it is read for the first time. */
export class Event {
  #delivery;
  #known = new Map();

  constructor(delivery) {
    this.#delivery = delivery;
  }

  get id() {
    return this.#once('id', (delivery) => delivery.id());
  }

  get topic() {
    return this.#once('topic', (delivery) => delivery.topic());
  }

  get attempt() {
    return this.#once('attempt', (delivery) => delivery.attempt());
  }

  get publishedAt() {
    return new Date(this.#once('publishedAt', (delivery) => Number(delivery.publishedAtMs())));
  }

  get headers() {
    return this.#once('headers', (delivery) => new Headers(delivery.headers()));
  }

  get body() {
    return this.#once('body', (delivery) => bytes(delivery.body()));
  }

  get lastError() {
    return this.#once('lastError', (delivery) => delivery.error() ?? undefined);
  }

  text() {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.body);
    } catch {
      throw new BodyError('the body is not UTF-8 text');
    }
  }

  json() {
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new BodyError(`the body is not JSON: ${error.message}`);
    }
  }

  cloudEvent() {
    return cloudEventOf(this);
  }

  ack() {
    const delivery = this.#lent();
    settle(() => delivery.ack());
  }

  extend(milliseconds) {
    if (!(Number.isFinite(milliseconds) && milliseconds >= 0)) {
      throw new RangeError(`a deadline is moved by milliseconds from 0, not by ${String(milliseconds)}`);
    }
    const delivery = this.#lent();
    settle(() => delivery.extend(BigInt(Math.ceil(milliseconds))));
  }

  /** Ends the loan. What was read before stays readable. */
  static close(event) {
    event.#delivery = undefined;
  }

  #once(name, read) {
    if (!this.#known.has(name)) this.#known.set(name, read(this.#lent()));
    return this.#known.get(name);
  }

  #lent() {
    if (this.#delivery === undefined) {
      throw new Error('the event was used after its handler had returned; await everything that uses it');
    }
    return this.#delivery;
  }
}

function settle(act) {
  try {
    act();
  } catch (error) {
    const { tag, val } = error?.payload ?? {};
    throw tag === undefined ? error : new SettleError(tag, val);
  }
}
