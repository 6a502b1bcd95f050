// Key-value buckets in a test: those of its host, in memory.

import { host } from './current.js';

class MemoryBucket {
  constructor(values) {
    this.values = values;
  }

  get(key) {
    return this.values.get(key)?.slice();
  }

  set(key, value) {
    this.values.set(key, Uint8Array.from(value));
  }

  delete(key) {
    this.values.delete(key);
  }

  exists(key) {
    return this.values.has(key);
  }

  listKeys() {
    return { keys: [...this.values.keys()].sort(), cursor: undefined };
  }
}

export function open(name) {
  const { buckets } = host();
  if (!buckets.has(name)) buckets.set(name, new Map());
  return new MemoryBucket(buckets.get(name));
}

export function increment(bucket, key, delta) {
  const old = bucket.get(key);
  const sum = (old === undefined ? 0n : BigInt(new TextDecoder().decode(old))) + delta;
  bucket.set(key, new TextEncoder().encode(String(sum)));
  return sum;
}
