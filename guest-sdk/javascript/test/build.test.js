// What the build finds in a source, without building a component of it.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { bundle } from '../src/build/bundle.js';
import { world } from '../src/build/world.js';

const here = fileURLToPath(new URL('.', import.meta.url));
// Below this package, so that the sources find it by its name.
const folder = await mkdtemp(join(here, 'bundled-'));
after(() => rm(folder, { recursive: true }));

async function bundled(source, name = 'source.js') {
  const path = join(folder, name);
  await writeFile(path, source);
  return bundle(path, 'source');
}

const PUBLISHER = 'hostel:handler/publisher@0.1.0';
const LOGGING = 'wasi:logging/logging@0.1.0-draft';

test('a component imports what its source uses and no more', async () => {
  const check = async (source, expected) => assert.deepEqual((await bundled(source)).imports, expected);
  await check("import { handler } from 'hostel'; export const subscriber = handler(() => {});", [LOGGING]);
  await check(
    "import { handler, publish } from 'hostel'; export const subscriber = handler(() => publish('a', 'b'));",
    [PUBLISHER, LOGGING],
  );
  await check(
    "import { handler } from 'hostel'; import { open } from 'hostel/keyvalue'; export const subscriber = handler(() => open('a'));",
    ['wasi:keyvalue/atomics@0.2.0-draft', 'wasi:keyvalue/store@0.2.0-draft', LOGGING],
  );
});

test('fetch and a lifecycle are noticed', async () => {
  const plain = "import { handler, init } from 'hostel'; export const subscriber = handler(() => {});";
  const both = `${plain} export const lifecycle = init(async () => { await fetch('http://localhost'); });`;
  const { usesFetch, hasLifecycle } = await bundled(plain);
  assert.deepEqual([usesFetch, hasLifecycle], [false, false]);
  const found = await bundled(both);
  assert.deepEqual([found.usesFetch, found.hasLifecycle], [true, true]);
  assert.equal(
    world(found),
    'package hostel:sdk;\n\nworld component {\n    import wasi:logging/logging@0.1.0-draft;\n' +
      '    import wasi:http/outgoing-handler@0.2.12;\n    export hostel:handler/subscriber@0.1.0;\n' +
      '    export hostel:handler/lifecycle@0.1.0;\n}\n',
  );
});

test('types are stripped', async () => {
  const { code } = await bundled(
    "import { handler, type Event } from 'hostel'; export const subscriber = handler((event: Event) => {});",
    'source.ts',
  );
  assert.doesNotMatch(code, /event: Event/);
});

test('a source that cannot be built is refused with the place and the cure', async () => {
  await assert.rejects(bundled('export const other = 1;'), /does not export `subscriber` \(it exports other\); write: /);
  await assert.rejects(bundled('export const subscriber = ;'), /source\.js:1:26/);
  await assert.rejects(
    bundled("import 'node:fs'; export const subscriber = 1;"),
    /Could not resolve "node:fs"[^]*runs in a sandbox without Node/,
  );
});

test('the copy of the contract is current', async () => {
  const files = async (root) => {
    const entries = await readdir(root, { recursive: true });
    const names = entries.filter((name) => name.endsWith('.wit')).sort();
    return Promise.all(names.map(async (name) => [name, await readFile(join(root, name), 'utf8')]));
  };
  const contract = await files(join(here, '../../../wit'));
  assert.ok(contract.some(([name]) => name === 'handler.wit'), "the repository's contract has a handler.wit");
  assert.deepEqual(await files(join(here, '../wit')), contract, 'copy wit/ of the repository to this package');
});
