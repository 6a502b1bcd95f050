// Makes the exports of a component out of an author's functions.

import { fault } from '#host/fault';
import { attachConsole, log } from '#host/log';

import { failureOf, stackOf } from './errors.js';
import { Event } from './event.js';

/** The context of the line that tells of an exception. */
const CONTEXT = 'exception';

export function handler(handle) {
  if (typeof handle !== 'function') throw new TypeError('handler(…) takes the function that handles an event');
  attachConsole();
  return {
    async handle(delivery) {
      const event = new Event(delivery);
      try {
        await handle(event);
      } catch (error) {
        const { failure, meant } = told(error);
        if (!meant) fault(failure.val.reason, error);
        throw new Payload(failure, error);
      } finally {
        Event.close(event);
      }
    },
  };
}

export function init(prepare) {
  if (typeof prepare !== 'function') throw new TypeError('init(…) takes the function that prepares the handler');
  attachConsole();
  return {
    async init() {
      try {
        await prepare();
      } catch (error) {
        const { tag, val } = told(error).failure;
        // The contract's error of `init` is a text; as a payload it passes whatever engine runs this.
        throw new Payload(tag === 'retry' ? val.reason : val, error);
      }
    },
  };
}

/** What the bindings take for the error of a call. */
class Payload extends Error {
  constructor(payload, cause) {
    super('', { cause });
    Object.defineProperty(this, 'payload', { value: payload, enumerable: true });
  }
}

/**
 * What becomes of the event. An exception that does not say so is logged with its stack: the attempt's history keeps the
 * lines, while the stack of the trap that follows shows the engine's functions and not the author's.
 */
function told(error) {
  const answer = failureOf(error);
  if (!answer.meant) stackOf(error).forEach((line) => log('error', CONTEXT, line));
  return answer;
}
