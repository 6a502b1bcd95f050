// The end of a run whose handler threw what says nothing of the event.

/** What the double of the host takes for a trap. */
export class Fault extends Error {}

export function fault(reason, cause) {
  throw new Fault(reason, { cause });
}
