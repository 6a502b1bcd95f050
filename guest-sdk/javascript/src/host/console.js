// The console's methods over a log of levels and texts.

import { stackOf } from '../errors.js';

const LEVELS = { trace: 'trace', debug: 'debug', log: 'info', info: 'info', warn: 'warn', error: 'error' };

/** The methods of a console that hands `write` a level and a text for each line. */
export function consoleOver(writeLine) {
  const write = (level, text) => text.split('\n').forEach((line) => writeLine(level, line));
  const methods = {};
  for (const [name, level] of Object.entries(LEVELS)) {
    methods[name] = (...values) => write(level, format(values));
  }
  methods.assert = (condition, ...values) => {
    if (!condition) write('error', format(['assertion failed', ...values]));
  };
  return methods;
}

/** The text of a call, with `%s`, `%d`, `%i`, `%f`, `%j`, `%o` and `%O` of the first value filled in. */
export function format(values) {
  const rest = [...values];
  const parts = [];
  if (typeof rest[0] === 'string' && rest.length > 1) {
    const pattern = rest.shift();
    parts.push(pattern.replace(/%[sdifjoO%]/g, (mark) => (mark === '%%' ? '%' : fill(mark, rest))));
  }
  parts.push(...rest.map(show));
  return parts.join(' ');
}

function fill(mark, rest) {
  if (rest.length === 0) return mark;
  const value = rest.shift();
  switch (mark) {
    case '%d':
    case '%f':
      return typeof value === 'bigint' ? `${value}n` : String(Number(value));
    case '%i':
      return typeof value === 'bigint' ? `${value}n` : String(Number.parseInt(value, 10));
    default:
      return show(value);
  }
}

function show(value) {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return stackOf(value).join('\n');
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? `${value}n` : String(value);
  try {
    return JSON.stringify(plain(value)) ?? String(value);
  } catch {
    return String(value);
  }
}

/** What JSON would show as `{}`: sets, maps and bytes. */
function plain(value) {
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set || ArrayBuffer.isView(value)) return Array.from(value);
  return value;
}
