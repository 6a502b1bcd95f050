// What `hostel/keyvalue` promises: keys and values that outlive an event.

/** Opens a bucket. Throws a {@link KeyValueError} when there is none of that name. */
export declare function open(name: string): Bucket;

/** A bucket of keys and values. Each method throws a {@link KeyValueError}. */
export declare class Bucket {
  private constructor();
  /** The value of a key; undefined when it has none. */
  get(key: string): Uint8Array | undefined;
  /** The same as text. */
  getText(key: string): string | undefined;
  /** Gives a key a value. */
  set(key: string, value: string | Uint8Array): void;
  /** Takes a key away, if it is there. */
  delete(key: string): void;
  /** Whether a key has a value. */
  has(key: string): boolean;
  /** All keys, asked of the host as they are read. */
  keys(): IterableIterator<string>;
  /** Adds to a number, which begins at 0, and returns the sum. No other event comes between. */
  increment(key: string, delta?: number): number;
}

/**
 * Why the store did not do what it was asked. Left to itself it rejects the event when the bucket was denied, and is a
 * retry otherwise.
 */
export declare class KeyValueError extends Error {
  private constructor();
  readonly kind: 'no-such-store' | 'access-denied' | 'other';
}
