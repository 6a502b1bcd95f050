// What a handler throws, what this package throws, and what becomes of the event then.

/** The event may be handled later: it is attempted again. */
export class Retry extends Error {
  /** Milliseconds to wait before the next attempt; undefined leaves it to the subscription's backoff. */
  after;

  constructor(reason, { after, ...options } = {}) {
    super(reason, options);
    if (after !== undefined && !(Number.isFinite(after) && after >= 0)) {
      throw new RangeError(`after must be milliseconds from 0, not ${String(after)}`);
    }
    this.after = after;
  }
}

/** The event will never be handled: it becomes a dead letter. */
export class Reject extends Error {}

/** The body is not what the handler expects. */
export class BodyError extends Reject {}

/** A config key is not set, or cannot be read. */
export class ConfigError extends Error {}

/** A message was not published. */
export class PublishError extends Error {
  /** One of `denied`, `invalid`, `too-large`, `overloaded` and `failed`. */
  kind;
  /** With `too-large`: the most bytes that a message may have. */
  limit;
  /** With `overloaded`: milliseconds after which to try again. */
  retryAfter;

  constructor(kind, detail) {
    super(publishText(kind, detail));
    this.kind = kind;
    if (kind === 'too-large') this.limit = Number(detail);
    if (kind === 'overloaded') this.retryAfter = Number(detail);
  }
}

function publishText(kind, detail) {
  switch (kind) {
    case 'denied':
      return `publishing was denied: ${detail}`;
    case 'invalid':
      return `the message was refused: ${detail}`;
    case 'too-large':
      return `the message is larger than the ${detail} bytes that the host takes`;
    case 'overloaded':
      return `the host is overloaded; try again in ${detail} ms`;
    default:
      return `the broker failed: ${detail}`;
  }
}

/** The delivery was not settled, or its deadline not moved. */
export class SettleError extends Error {
  /** One of `already-settled`, `failed` and `too-long`. */
  kind;
  /** With `too-long`: the milliseconds that are left to ask for. */
  left;

  constructor(kind, detail) {
    super(settleText(kind, detail));
    this.kind = kind;
    if (kind === 'too-long') this.left = Number(detail);
  }
}

function settleText(kind, detail) {
  switch (kind) {
    case 'already-settled':
      return 'the delivery was settled before';
    case 'too-long':
      return `the deadline lies beyond what the host allows; ${detail} ms are left`;
    default:
      return `the delivery was not settled: ${detail}`;
  }
}

/** A key-value store did not do what it was asked. */
export class KeyValueError extends Error {
  /** One of `no-such-store`, `access-denied` and `other`. */
  kind;

  constructor(kind, text) {
    super(text);
    this.kind = kind;
  }
}

/** A request of `fetch` got no answer. A `TypeError`, as the web has it. */
export class FetchError extends TypeError {}

for (const type of [Retry, Reject, BodyError, ConfigError, PublishError, SettleError, KeyValueError, FetchError]) {
  Object.defineProperty(type.prototype, 'name', { value: type.name, configurable: true, writable: true });
}

/** What this package throws that may pass. */
const PASSING = [ConfigError, SettleError, KeyValueError, FetchError];

/**
 * What becomes of the event when its handler threw this: the contract's `failure`, and whether the error says so. The
 * first of the chain of causes that does decides; where none does, it is a fault.
 */
export function failureOf(thrown) {
  const errors = chain(thrown);
  const reason = text(errors);
  for (const error of errors) {
    if (error instanceof Reject) return { failure: { tag: 'reject', val: reason }, meant: true };
    if (error instanceof Retry) return { failure: retry(reason, error.after), meant: true };
    if (error instanceof PublishError) {
      const passes = error.kind === 'overloaded' || error.kind === 'failed';
      const failure = passes ? retry(reason, error.retryAfter) : { tag: 'reject', val: reason };
      return { failure, meant: true };
    }
    if (error instanceof KeyValueError && error.kind === 'access-denied') {
      return { failure: { tag: 'reject', val: reason }, meant: true };
    }
    if (PASSING.some((type) => error instanceof type)) return { failure: retry(reason, undefined), meant: true };
  }
  return { failure: retry(reason, undefined), meant: false };
}

/** The lines of an error with its stack and those of its causes, for the log. */
export function stackOf(thrown) {
  return chain(thrown).flatMap((error, index) => {
    const [head, ...frames] = describe(error);
    return [index === 0 ? head : `caused by: ${head}`, ...frames];
  });
}

function retry(reason, after) {
  // Rounded up, so that a short wait does not become none.
  return { tag: 'retry', val: { reason, afterMs: after === undefined ? undefined : BigInt(Math.ceil(after)) } };
}

/** The error and its causes. An error may be its own cause, so it ends. */
function chain(thrown) {
  const errors = [thrown];
  for (let error = thrown; errors.length < 16; errors.push(error)) {
    error = error instanceof Error ? error.cause : undefined;
    if (error === undefined || errors.includes(error)) break;
  }
  return errors;
}

/** The texts of a chain. The kind is part of it where it says something: not for what a handler throws on purpose. */
function text(errors) {
  const parts = [];
  for (const error of errors) {
    const own = ownText(error);
    if (!parts.at(-1)?.endsWith(own)) parts.push(own);
  }
  return parts.join(': ');
}

function ownText(error) {
  if (!(error instanceof Error)) return `threw ${typeof error === 'string' ? error : safely(error)}`;
  const isOwn = [Retry, Reject, PublishError, ...PASSING].some((type) => error instanceof type);
  return isOwn ? error.message : String(error);
}

function safely(value) {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** The most frames of one stack. Arbitrary: enough to see who called, and little of the lines that a host keeps. */
const FRAMES = 24;

function describe(error) {
  if (!(error instanceof Error)) return [ownText(error)];
  const head = String(error);
  const stack = String(error.stack ?? '');
  // V8's stacks begin with the error's own text, SpiderMonkey's with the innermost frame.
  const lines = (stack.startsWith(head) ? stack.slice(head.length) : stack).split('\n').map((line) => line.trim());
  // The outermost frame in a component is code that the build wrote.
  const frames = lines.filter((line) => line !== '' && !line.includes('/sources/initializer.js'));
  const shown = frames.slice(0, FRAMES).map((frame) => `    at ${frame.replace(/^at /, '')}`);
  const left = frames.length - shown.length;
  return [...head.split('\n'), ...shown, ...(left > 0 ? [`    and ${left} more`] : [])];
}
