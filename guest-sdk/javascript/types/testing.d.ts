// What `hostel/testing` promises: a test double of the host.

import type { Lifecycle, PublishError, Subscriber } from './index.js';

/** Delivers an event to what `handler` made, with a host without config that takes every topic. */
export declare function run(subscriber: Subscriber, event: TestEvent): Promise<Run>;

/** A host with rules of its own. Only its key-value buckets last from one run to the next. */
export declare class Host {
  constructor(rules?: {
    /** Config values by key. */
    config?: Record<string, string>;
    /** Topics on which the handler may not publish. */
    deny?: string[];
    /** Topics on which publishing fails in another way. */
    refuse?: Record<string, Refusal>;
  });
  /** Delivers an event to what `handler` made. */
  run(subscriber: Subscriber, event: TestEvent): Promise<Run>;
  /** Calls what `init` made. Its outcome is `ack` or `refused`. */
  init(lifecycle: Lifecycle): Promise<Run>;
}

/** How publishing on a topic fails. `detail` is a limit in bytes, a time in milliseconds, or a text. */
export type Refusal =
  | { kind: 'too-large' | 'overloaded'; detail: number }
  | { kind: Exclude<PublishError['kind'], 'too-large' | 'overloaded'>; detail?: string };

/** An event to be delivered. Everything but the topic has a default. */
export interface TestEvent {
  topic: string;
  id?: string;
  attempt?: number;
  publishedAt?: Date | number;
  headers?: Iterable<readonly [name: string, value: string]> | Record<string, string>;
  body?: string | Uint8Array;
  /** A value as JSON for a body, with a header `Content-Type` that says so. */
  json?: unknown;
  lastError?: string;
}

/** What a handler did with an event. */
export interface Run {
  /** What becomes of the event; `refused` is a deployment's. */
  outcome: 'ack' | 'retry' | 'reject' | 'trap' | 'refused';
  /** Why it was not acknowledged. */
  reason: string | undefined;
  /** With a retry: the milliseconds that the handler asked for. */
  after: number | undefined;
  /** What was thrown. */
  error: unknown;
  /** What it published, in order. */
  published: Published[];
  /** What it logged, in order: by the console, or an exception with its stack. */
  logs: { level: 'trace' | 'debug' | 'info' | 'warn' | 'error'; context: string; text: string }[];
  /** Whether it acknowledged the event itself. */
  acked: boolean;
  /** The milliseconds to which it moved its deadline. */
  extended: number[];
}

/** An event that a handler published. */
export interface Published {
  /** The id given, or `published-1`, `published-2` and so on. */
  id: string;
  topic: string;
  headers: [name: string, value: string][];
  body: Uint8Array;
  /** The value of the first header with this name, whatever its case. */
  header(name: string): string | undefined;
  /** The body as text. */
  text(): string;
  /** The body as JSON. */
  json(): any;
}
