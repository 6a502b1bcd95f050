// The end of a component whose handler threw what says nothing of the event.

/** Traps: what is no answer of the contract ends the instance. */
export function fault(reason, cause) {
  throw new Error(reason, { cause });
}
