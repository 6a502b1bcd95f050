// CloudEvents 1.0 in the binary mode of their HTTP binding: as headers and body of an event.

import { BodyError, PublishError } from './errors.js';
import { publish } from './publish.js';

const KNOWN = ['id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'dataschema'];
const REQUIRED = ['id', 'source', 'type'];

export class CloudEventError extends BodyError {
  static {
    Object.defineProperty(this.prototype, 'name', { value: 'CloudEventError', configurable: true, writable: true });
  }
}

export class CloudEvent {
  constructor({ id, source, type, subject, time, datacontenttype, dataschema, extensions = {}, data, json, ...rest } = {}) {
    const unknown = Object.keys(rest)[0];
    if (unknown !== undefined) {
      throw new TypeError(`a CloudEvent has no key \`${unknown}\`; write { extensions: { ${unknown}: … } }`);
    }
    if (data !== undefined && json !== undefined) throw new TypeError('a CloudEvent has `json` or `data`, not both');
    Object.assign(this, { id, source, type, subject, datacontenttype, dataschema, extensions });
    this.time = time instanceof Date ? time.toISOString() : time;
    if (json !== undefined) {
      const text = JSON.stringify(json);
      if (text === undefined) throw new TypeError('the value of `json` cannot be written as JSON');
      this.data = new TextEncoder().encode(text);
      this.datacontenttype ??= 'application/json';
    } else {
      this.data = typeof data === 'string' ? new TextEncoder().encode(data) : (data ?? new Uint8Array());
    }
  }

  text() {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.data);
    } catch {
      throw new BodyError('the data are not UTF-8 text');
    }
  }

  json() {
    const text = this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new BodyError(`the data are not JSON: ${error.message}`);
    }
  }
}

export function cloudEventOf(event) {
  const found = { extensions: {} };
  let version;
  for (const [header, value] of event.headers) {
    const name = header.toLowerCase();
    if (name === 'content-type') {
      found.datacontenttype = value;
    } else if (name.startsWith('ce-')) {
      const attribute = name.slice(3);
      const decoded = decode(attribute, value);
      if (attribute === 'specversion') version = decoded;
      else if (KNOWN.includes(attribute)) found[attribute] = decoded;
      else found.extensions[attribute] = decoded;
    }
  }
  if (version === undefined) throw new CloudEventError('the event is no CloudEvent: it has no header `ce-specversion`');
  if (version !== '1.0') throw malformed('specversion');
  const why = fault(found);
  if (why !== undefined) throw new CloudEventError(why);
  return new CloudEvent({ ...found, data: event.body });
}

export function publishCloudEvent(topic, event) {
  const why = fault(event);
  if (why !== undefined) throw new PublishError('invalid', why);
  const { extensions, datacontenttype, data } = event;
  const headers = [['ce-specversion', '1.0']];
  for (const name of KNOWN) {
    if (name !== 'datacontenttype' && event[name] !== undefined) headers.push([`ce-${name}`, encode(event[name])]);
  }
  for (const [name, value] of Object.entries(extensions)) headers.push([`ce-${name}`, encode(value)]);
  if (datacontenttype !== undefined) headers.push(['Content-Type', datacontenttype]);
  return publish(topic, { headers, body: data });
}

/** What is wrong with an event's attributes; undefined if nothing is. */
function fault(event) {
  const missing = REQUIRED.find((name) => !event[name]);
  if (missing !== undefined) return `attribute \`${missing}\` is missing`;
  const reserved = [...KNOWN, 'specversion', 'data'];
  const bad = Object.keys(event.extensions).find((name) => !/^[a-z0-9]+$/.test(name) || reserved.includes(name));
  return bad === undefined ? undefined : `an extension cannot be called \`${bad}\`; names are of a-z and 0-9`;
}

/** As the HTTP binding says, section "HTTP Header Values". */
function encode(value) {
  const plain = /[\x21\x23\x24\x26-\x7e]/;
  const hex = (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  const encoded = (character) => (plain.test(character) ? character : [...new TextEncoder().encode(character)].map(hex).join(''));
  return Array.from(String(value), encoded).join('');
}

/** Out of its quotes if it has some, then percent-decoded, once. */
function decode(name, value) {
  let text = value;
  if (text.startsWith('"')) {
    if (!/^"(?:[^"\\]|\\[^])*"$/.test(text)) throw malformed(name);
    text = text.slice(1, -1).replace(/\\([^])/g, '$1');
  }
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed(name);
  }
}

function malformed(name) {
  return new CloudEventError(`the value of attribute \`${name}\` is malformed`);
}
