// Logs of a component: lines of the host, and the console on top of them.

import { log as hostLog } from 'wasi:logging/logging@0.1.0-draft';

import { consoleOver } from '../console.js';

export function log(level, context, text) {
  hostLog(level, context, text);
}

/** Has the console write log lines with a level; the engine's own would write them to stdout. */
export function attachConsole() {
  Object.assign(globalThis.console, consoleOver((level, text) => hostLog(level, 'console', text)));
}
