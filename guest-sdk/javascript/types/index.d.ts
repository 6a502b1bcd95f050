// What the package `hostel` promises.

/** Name and value of each header, in order. Names compare without regard to ASCII case and may repeat. */
export declare class Headers implements Iterable<[name: string, value: string]> {
  private constructor();
  /** The value of the first header with this name. */
  get(name: string): string | undefined;
  /** The values of all headers with this name, in order. */
  getAll(name: string): string[];
  /** Whether there is a header with this name. */
  has(name: string): boolean;
  [Symbol.iterator](): IterableIterator<[name: string, value: string]>;
}

/**
 * One delivery of an event, lent for the length of one call of the handler. Afterwards only what was read before stays
 * readable.
 */
export declare class Event {
  private constructor();
  /** The event's id, the same in every attempt. */
  readonly id: string;
  /** The topic it was published on. */
  readonly topic: string;
  /** Which attempt this is, counted from 1. */
  readonly attempt: number;
  /** When it was published, to the millisecond. */
  readonly publishedAt: Date;
  /** All headers. */
  readonly headers: Headers;
  /** The body. The first read copies it into the handler's memory, later ones give the same bytes. */
  readonly body: Uint8Array;
  /** Why the last attempt failed; undefined in the first. */
  readonly lastError: string | undefined;
  /** The body as text. Throws a {@link BodyError} when it is not UTF-8. */
  text(): string;
  /** The body as JSON, parsed anew by each call. Throws a {@link BodyError} when it is not JSON. */
  json(): unknown;
  /** The event as a CloudEvent 1.0. Throws a {@link CloudEventError} when it is none. */
  cloudEvent(): CloudEvent;
  /**
   * Acknowledges the event now, before the handler returns. From then on a failure of this delivery reaches the logs
   * only, and nothing makes the event come again. Throws a {@link SettleError}.
   */
  ack(): void;
  /**
   * Moves the deadline of this delivery to so many milliseconds from now, if that is later than it was. Throws a
   * {@link SettleError} beyond what the host allows, by default ten times the handler's deadline in all.
   */
  extend(milliseconds: number): void;
}

/** The export `subscriber` of a component. */
export interface Subscriber {
  /** Called by the host and by `hostel/testing`. */
  handle(delivery: unknown): Promise<void>;
}

/** The export `lifecycle` of a component. */
export interface Lifecycle {
  /** Called by the host and by `hostel/testing`. */
  init(): Promise<void>;
}

/**
 * Makes a component's export of a function: `export const subscriber = handler((event) => { … })`.
 *
 * Returning acknowledges the event. A thrown {@link Reject} makes it a dead letter, a thrown {@link Retry} has it come
 * again, and so do the errors of this package as each says. Any other exception is a fault: the log gets its stack, and
 * the component traps, which has the event come again and counts for the quarantine. What the function starts must be
 * awaited: the sandbox ends with it.
 */
export declare function handler(handle: (event: Event) => void | Promise<void>): Subscriber;

/**
 * Makes the export that prepares a component: `export const lifecycle = init(() => { … })`. Called once for each
 * version before the first event reaches it; an exception refuses the deployment.
 */
export declare function init(prepare: () => void | Promise<void>): Lifecycle;

/** What to publish: text, bytes, or one of these with headers and an id. */
export type Message =
  | string
  | Uint8Array
  | (MessageOptions & { body?: string | Uint8Array; json?: never })
  | (MessageOptions & { json: unknown; body?: never });

/** What goes with a body. */
export interface MessageOptions {
  /** Names and values. `json` adds `Content-Type: application/json` unless it is given. */
  headers?: Iterable<readonly [name: string, value: string]> | Record<string, string>;
  /**
   * The new event's id. Made from the id of the event being handled, it lets whoever hears the new event recognise
   * what a repeated attempt publishes again.
   */
  id?: string;
}

/**
 * Publishes a message on a topic that the manifest allows and returns the new event's id. Throws a
 * {@link PublishError}; nothing was published then.
 */
export declare function publish(topic: string, message: Message): string;

/** What a {@link CloudEvent} is made of. */
export interface CloudEventOptions {
  id: string;
  source: string;
  type: string;
  subject?: string;
  /** A text of RFC 3339, or a date. */
  time?: string | Date;
  datacontenttype?: string;
  dataschema?: string;
  extensions?: Record<string, string>;
  /** Text or bytes. */
  data?: string | Uint8Array;
  /** A value as JSON, in the place of `data`; `datacontenttype` is `application/json` unless it is given. */
  json?: unknown;
}

/** An event as CloudEvents 1.0 describes it. */
export declare class CloudEvent {
  constructor(options: CloudEventOptions);
  /** What identifies the event among those of its source. */
  id: string;
  /** Where it happened: a URI reference. */
  source: string;
  /** What kind of thing happened. */
  type: string;
  /** What it is about, within its source. */
  subject: string | undefined;
  /** When it happened, in RFC 3339; `new Date(event.time)` reads it. */
  time: string | undefined;
  /** The media type of the data. */
  datacontenttype: string | undefined;
  /** The schema of the data: a URI. */
  dataschema: string | undefined;
  /** All other attributes, by names of a-z and 0-9. Values are strings, whatever their type: `5`, `true`. */
  extensions: Record<string, string>;
  /** The data; empty if there are none. */
  data: Uint8Array;
  /** The data as text. Throws a {@link BodyError} when they are not UTF-8. */
  text(): string;
  /** The data as JSON. Throws a {@link BodyError} when they are not JSON. */
  json(): unknown;
}

/**
 * Publishes a CloudEvent, a header for each attribute, and returns the new event's id, which is not the CloudEvent's.
 * Throws a {@link PublishError}, of kind `invalid` when an attribute is missing or an extension has no good name.
 */
export declare function publishCloudEvent(topic: string, event: CloudEvent): string;

/** What the manifest or the operator set for a key; undefined when nobody did. Throws a {@link ConfigError}. */
export declare function config(key: string): string | undefined;

/** The same, for a key that must be there. A missing key is a {@link ConfigError} that says what to set. */
export declare function requireConfig(key: string): string;

/** Thrown by a handler: the event may be handled later and is attempted again, until its attempts are used up. */
export declare class Retry extends Error {
  /** `after`: milliseconds from the end of this attempt, at most 24 hours; otherwise the subscription's backoff. */
  constructor(reason: string, options?: { after?: number; cause?: unknown });
  /** Milliseconds to wait before the next attempt. */
  readonly after: number | undefined;
}

/** Thrown by a handler: the event will never be handled and becomes a dead letter at once. */
export declare class Reject extends Error {
  constructor(reason: string, options?: { cause?: unknown });
}

/** The body is not what the handler expects. Left to itself it rejects the event: the body will not change. */
export declare class BodyError extends Reject {}

/** The event is no CloudEvent. Left to itself it rejects the event. */
export declare class CloudEventError extends BodyError {}

/** A config key is not set, or cannot be read. Left to itself it is a retry. */
export declare class ConfigError extends Error {}

/**
 * A message was not published. Left to itself it rejects the event when it was denied, invalid or too large, and is a
 * retry otherwise: after the host's advice when it is overloaded.
 */
export declare class PublishError extends Error {
  private constructor();
  readonly kind: 'denied' | 'invalid' | 'too-large' | 'overloaded' | 'failed';
  /** With `too-large`: the most bytes that a message may have. */
  readonly limit: number | undefined;
  /** With `overloaded`: milliseconds after which to try again. */
  readonly retryAfter: number | undefined;
}

/** The delivery was not settled, or its deadline not moved. Left to itself it is a retry. */
export declare class SettleError extends Error {
  private constructor();
  readonly kind: 'already-settled' | 'failed' | 'too-long';
  /** With `too-long`: the milliseconds that are left to ask for. */
  readonly left: number | undefined;
}

/** `fetch` got no answer, or the manifest does not allow the request. Left to itself it is a retry. */
export declare class FetchError extends TypeError {}
