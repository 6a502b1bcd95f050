// The world of one component: the contract, and of its imports those that the bundle uses.

import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** This package's copy of the contract. */
const CONTRACT = fileURLToPath(new URL('../../wit/', import.meta.url));

/** Lays out a folder of WIT whose world `component` is that of a bundle. */
export async function layOut(folder, bundled) {
  await cp(join(CONTRACT, 'deps'), join(folder, 'deps'), { recursive: true });
  await mkdir(join(folder, 'deps', 'hostel-handler'));
  await cp(join(CONTRACT, 'handler.wit'), join(folder, 'deps', 'hostel-handler', 'handler.wit'));
  await writeFile(join(folder, 'component.wit'), world(bundled));
}

/** The text of the world. */
export function world({ imports, hasLifecycle, usesFetch }) {
  const lines = imports.map((path) => `    import ${path};`);
  if (usesFetch) lines.push('    import wasi:http/outgoing-handler@0.2.12;');
  lines.push('    export hostel:handler/subscriber@0.1.0;');
  if (hasLifecycle) lines.push('    export hostel:handler/lifecycle@0.1.0;');
  return `package hostel:sdk;\n\nworld component {\n${lines.join('\n')}\n}\n`;
}
