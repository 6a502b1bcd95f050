// Builds a component out of a handler's source: bundles it, writes the world that the bundle needs, and hands both to
// componentize-js. The component imports what the source uses and no more.

import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';

import { bundle } from './build/bundle.js';
import { layOut } from './build/world.js';

/** Builds `entry` and writes the component to `output`, and beside it the bundle that stack traces speak of. */
export async function build({ entry, output, onProgress = () => {} }) {
  const began = performance.now();
  const name = basename(entry, extname(entry));
  onProgress(`bundling ${entry}`);
  const bundled = await bundle(entry, name);
  const folder = await mkdtemp(join(tmpdir(), 'hostel-build-'));
  try {
    const source = join(folder, 'bundle', `${name}.js`);
    await mkdir(dirname(source));
    await writeFile(source, bundled.code);
    await layOut(join(folder, 'wit'), bundled);
    onProgress('running it up to its first event and keeping the snapshot');
    const component = await componentize(source, join(folder, 'wit'), bundled);
    await place(output, component);
    await place(bundlePath(output), bundled.code);
    const milliseconds = Math.round(performance.now() - began);
    return { output, bytes: component.length, imports: bundled.imports, milliseconds };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Where the bundle of a component stands. */
function bundlePath(output) {
  return output.endsWith('.wasm') ? output.replace(/wasm$/, 'js') : `${output}.js`;
}

async function componentize(sourcePath, witPath, { usesFetch }) {
  // Loaded late: it takes a second, which a source with a mistake need not wait for.
  const tool = await import('@bytecodealliance/componentize-js');
  // A component that serves HTTP is another world; one that asks over HTTP is this one, if it uses `fetch`.
  const disableFeatures = usesFetch ? ['fetch-event'] : ['fetch-event', 'http'];
  const { component } = await tool.componentize({ sourcePath, witPath, worldName: 'component', disableFeatures });
  return component;
}

/** Writes a file whole or not at all: a host may be reading the old one. */
async function place(path, content) {
  const target = resolve(path);
  const old = await readFile(target).catch(() => undefined);
  if (old?.equals(Buffer.from(content))) return;
  await mkdir(dirname(target), { recursive: true });
  await writeFile(`${target}.new`, content);
  await rename(`${target}.new`, target);
}
