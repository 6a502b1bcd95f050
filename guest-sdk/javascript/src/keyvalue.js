// Keys and values that outlive an event. A module of its own, so that only who imports it has a component that does.

import * as host from '#host/keyvalue';

import { KeyValueError } from './errors.js';
import { bytes } from './event.js';

export { KeyValueError };

/** A bucket of keys and values. */
export class Bucket {
  #name;
  #bucket;

  constructor(name, bucket) {
    this.#name = name;
    this.#bucket = bucket;
  }

  get(key) {
    const value = this.#call(() => this.#bucket.get(key)) ?? undefined;
    return value === undefined ? undefined : bytes(value);
  }

  getText(key) {
    const value = this.get(key);
    return value === undefined ? undefined : new TextDecoder('utf-8', { fatal: true }).decode(value);
  }

  set(key, value) {
    const given = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    if (!(given instanceof Uint8Array)) throw new TypeError('a value is text or a Uint8Array');
    this.#call(() => this.#bucket.set(key, given));
  }

  delete(key) {
    this.#call(() => this.#bucket.delete(key));
  }

  has(key) {
    return this.#call(() => this.#bucket.exists(key));
  }

  *keys() {
    let cursor;
    do {
      const page = this.#call(() => this.#bucket.listKeys(cursor));
      yield* page.keys;
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }

  increment(key, delta = 1) {
    return Number(this.#call(() => host.increment(this.#bucket, key, BigInt(delta))));
  }

  #call(act) {
    return call(this.#name, act);
  }
}

export function open(name) {
  return new Bucket(name, call(name, () => host.open(name)));
}

function call(name, act) {
  try {
    return act();
  } catch (error) {
    const { tag, val } = error?.payload ?? {};
    switch (tag) {
      case undefined:
        throw error;
      case 'no-such-store':
        throw new KeyValueError(tag, `there is no key-value bucket \`${name}\``);
      case 'access-denied':
        throw new KeyValueError(tag, `the handler may not use the key-value bucket \`${name}\`; add it to \`keyvalue\` in handler.toml`);
      default:
        throw new KeyValueError(tag, `the key-value bucket \`${name}\` failed: ${val}`);
    }
  }
}
