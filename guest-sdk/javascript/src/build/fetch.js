// esbuild puts this in place of the global of the same name, wherever it is used, and leaves this file out where it is
// not. It is that global; only its failures have a name, by which the package knows that they are no fault of the handler.

import { FetchError } from '../errors.js';

export async function fetch(resource, options) {
  try {
    return await globalThis.fetch(resource, options);
  } catch (error) {
    throw new FetchError(`the request failed: ${error?.message ?? error}`, { cause: error });
  }
}
