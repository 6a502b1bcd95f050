// Makes one module of a handler's source and what it imports, and tells what that module wants of the host.

import { fileURLToPath } from 'node:url';

import * as esbuild from 'esbuild';

/** Takes the place of the global `fetch`, so that the bundle tells whether anything uses it. */
const FETCH = fileURLToPath(new URL('./fetch.js', import.meta.url));

/** The WIT interfaces that a bundle may import: those of the contract. */
const INTERFACES = ['hostel:*', 'wasi:*'];

/** Bundles an entry. Fails with every mistake that was found, each with its file and line. */
export async function bundle(entry, name) {
  const result = await esbuild
    .build({
      entryPoints: { [name]: entry },
      outdir: 'bundle',
      write: false,
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      conditions: ['hostel-component', 'module'],
      target: 'es2022',
      external: INTERFACES,
      inject: [FETCH],
      // Stack traces show these names.
      keepNames: true,
      metafile: true,
      logLevel: 'silent',
    })
    .catch(explain);
  const [output] = Object.values(result.metafile.outputs);
  const missing = output.exports.includes('subscriber') ? undefined : missingExport(entry, output.exports);
  if (missing) throw new BuildError(missing);
  return {
    code: result.outputFiles[0].text,
    imports: [...new Set(output.imports.filter(({ external }) => external).map(({ path }) => path))].sort(),
    hasLifecycle: output.exports.includes('lifecycle'),
    usesFetch: Object.entries(output.inputs).some(([path, { bytesInOutput }]) => isFetch(path) && bytesInOutput > 0),
  };
}

/** A mistake in a source that its author can cure. */
export class BuildError extends Error {}

function missingExport(entry, found) {
  const others = found.length === 0 ? 'it exports nothing' : `it exports ${found.join(', ')}`;
  return `${entry} does not export \`subscriber\` (${others}); write: export const subscriber = handler((event) => { … })`;
}

function isFetch(path) {
  return path.replaceAll('\\', '/').endsWith('src/build/fetch.js');
}

async function explain(error) {
  if (!Array.isArray(error?.errors)) throw error;
  const messages = await esbuild.formatMessages(error.errors, { kind: 'error' });
  const isNode = error.errors.some(({ text }) => /Could not resolve "(node:|fs"|path"|crypto"|http)/.test(text));
  const hint = isNode ? 'a handler runs in a sandbox without Node: use the web platform\'s API, such as `crypto.subtle`\n' : '';
  throw new BuildError(messages.join('').trimEnd() + (hint && `\n${hint.trimEnd()}`));
}
