// A test double of the host: runs a handler under `node --test` or any other runner, and tells what it did.

import { attach } from './host/double/current.js';
import { Fault } from './host/double/fault.js';

/** A host with rules of its own. Only its key-value buckets last from one run to the next. */
export class Host {
  #config;
  #refused = new Map();
  #buckets = new Map();

  constructor({ config = {}, deny = [], refuse = {} } = {}) {
    this.#config = new Map(Object.entries(config));
    for (const topic of deny) {
      this.#refused.set(topic, { tag: 'denied', val: `add "${topic}" to \`publish\` in the handler's manifest` });
    }
    for (const [topic, { kind, detail }] of Object.entries(refuse)) {
      const isNumber = kind === 'too-large' || kind === 'overloaded';
      this.#refused.set(topic, { tag: kind, val: isNumber ? BigInt(detail) : String(detail ?? '') });
    }
  }

  /** Delivers an event to what `handler` made. */
  async run(subscriber, event) {
    const run = new Run();
    await this.#attach(run, () => subscriber.handle(new Delivery(event, run)));
    return run;
  }

  /** Calls what `init` made. */
  async init(lifecycle) {
    const run = new Run();
    await this.#attach(run, () => lifecycle.init());
    return run;
  }

  async #attach(run, work) {
    const host = { config: this.#config, refused: this.#refused, buckets: this.#buckets, run };
    try {
      await attach(host, work);
    } catch (error) {
      if (error instanceof Fault) return run.trap(error);
      if (error?.payload === undefined) throw error;
      run.fail(error.payload, error.cause);
    }
  }
}

/** Delivers an event to what `handler` made, with a host without config that takes every topic. */
export function run(subscriber, event) {
  return new Host().run(subscriber, event);
}

/** What a handler did with an event. */
class Run {
  outcome = 'ack';
  reason = undefined;
  after = undefined;
  error = undefined;
  published = [];
  logs = [];
  acked = false;
  extended = [];

  publish(message) {
    this.published.push(new Published(message));
  }

  trap({ message, cause }) {
    this.error = cause;
    this.outcome = 'trap';
    this.reason = message;
  }

  fail(payload, error) {
    this.error = error;
    if (typeof payload === 'string') {
      // That of `init`.
      this.outcome = 'refused';
      this.reason = payload;
    } else if (payload.tag === 'reject') {
      this.outcome = 'reject';
      this.reason = payload.val;
    } else {
      this.outcome = 'retry';
      this.reason = payload.val.reason;
      this.after = payload.val.afterMs === undefined ? undefined : Number(payload.val.afterMs);
    }
  }
}

/** An event that a handler published. */
class Published {
  constructor({ id, topic, headers, body }) {
    Object.assign(this, { id, topic, headers, body });
  }

  header(name) {
    return this.headers.find(([own]) => own.toLowerCase() === name.toLowerCase())?.[1];
  }

  text() {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.body);
  }

  json() {
    return JSON.parse(this.text());
  }
}

const KEYS = new Set(['topic', 'id', 'attempt', 'publishedAt', 'headers', 'body', 'json', 'lastError']);

/** What the host lends a handler, made from a test's description of an event. */
class Delivery {
  #event;
  #run;

  constructor(event, run) {
    const unknown = Object.keys(event).find((key) => !KEYS.has(key));
    if (unknown !== undefined) throw new TypeError(`an event has no key \`${unknown}\``);
    if (typeof event.topic !== 'string') throw new TypeError('an event has a topic');
    if ('json' in event && 'body' in event) throw new TypeError('an event has `json` or `body`, not both');
    this.#event = event;
    this.#run = run;
  }

  id() {
    return this.#event.id ?? '00000000-0000-7000-8000-000000000001';
  }

  topic() {
    return this.#event.topic;
  }

  attempt() {
    return this.#event.attempt ?? 1;
  }

  publishedAtMs() {
    return BigInt(Number(this.#event.publishedAt ?? 0));
  }

  headers() {
    const { headers = [] } = this.#event;
    const entries = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
    const isTyped = entries.some(([name]) => name.toLowerCase() === 'content-type');
    return 'json' in this.#event && !isTyped ? [['Content-Type', 'application/json'], ...entries] : entries;
  }

  body() {
    const body = 'json' in this.#event ? JSON.stringify(this.#event.json) : (this.#event.body ?? '');
    return typeof body === 'string' ? new TextEncoder().encode(body) : Uint8Array.from(body);
  }

  error() {
    return this.#event.lastError;
  }

  ack() {
    if (this.#run.acked) throw Object.assign(new Error('see the payload'), { payload: { tag: 'already-settled' } });
    this.#run.acked = true;
  }

  extend(milliseconds) {
    this.#run.extended.push(Number(milliseconds));
  }
}
