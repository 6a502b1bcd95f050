#!/usr/bin/env node
// The command `hostel-build`.

import { basename, extname } from 'node:path';
import { parseArgs } from 'node:util';

import { build } from '../build.js';
import { BuildError } from './bundle.js';

const USAGE = `usage: hostel-build ENTRY [--output FILE]

Builds a component for Hostel out of ENTRY, a .js or .ts file that exports \`subscriber\`.

  -o, --output FILE   where to write it; target/<name of ENTRY>.wasm unless given
  -h, --help          prints this`;

// 0 done, 1 not done, 2 misused, as the command \`hostel\` has it.
process.exitCode = await run(process.argv.slice(2));

async function run(args) {
  let options;
  try {
    options = parse(args);
  } catch (error) {
    console.error(`error: ${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    console.log(USAGE);
    return 0;
  }
  try {
    const built = await build({ ...options, onProgress: (step) => console.error(`${step} …`) });
    const kib = Math.ceil(built.bytes / 1024);
    console.error(`built ${built.output}: ${kib} KiB in ${(built.milliseconds / 1000).toFixed(1)} s`);
    return 0;
  } catch (error) {
    console.error(`error: ${error instanceof BuildError ? error.message : (error.stack ?? error)}`);
    return 1;
  }
}

/** What to build; undefined when help was asked for. */
function parse(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { output: { type: 'string', short: 'o' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return undefined;
  if (positionals.length !== 1) throw new Error(`one ENTRY is expected, not ${positionals.length}`);
  const [entry] = positionals;
  return { entry, output: values.output ?? `target/${basename(entry, extname(entry))}.wasm` };
}
