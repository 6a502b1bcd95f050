// esbuild puts these in place of the globals of the same names, wherever they are used, and leaves this file out where
// they are not.

const own = globalThis.fetch;

export { own as fetch };
