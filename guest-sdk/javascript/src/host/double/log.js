// Logs in a test: kept for its host. What is logged where there is none goes to the console as ever.

import { consoleOver } from '../console.js';
import { attached } from './current.js';

export function log(level, context, text) {
  attached()?.run.logs.push({ level, context, text });
}

let isAttached = false;

/** Has the console keep what a handler writes during a test's run. */
export function attachConsole() {
  if (isAttached) return;
  isAttached = true;
  const kept = consoleOver((level, text) => log(level, 'console', text));
  for (const [name, keep] of Object.entries(kept)) {
    const own = globalThis.console[name];
    globalThis.console[name] = (...values) => (attached() ? keep : own).apply(globalThis.console, values);
  }
}
