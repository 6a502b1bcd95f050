// The host of a test: what `hostel/testing` runs a handler against. It travels with the handler's asynchronous calls,
// so that tests run beside each other.

import { AsyncLocalStorage } from 'node:async_hooks';

const current = new AsyncLocalStorage();

/** Runs `work` with this host. */
export function attach(host, work) {
  return current.run(host, work);
}

/** The host of this call, if there is one. */
export function attached() {
  return current.getStore();
}

/** The host of this call, or an error that says where one comes from. */
export function host() {
  const found = attached();
  if (found === undefined) throw new Error('there is no host; run the handler with `hostel/testing`');
  return found;
}

/** An error as the bindings of a component throw it. */
export function failed(payload) {
  return Object.assign(new Error('see the payload'), { payload });
}
