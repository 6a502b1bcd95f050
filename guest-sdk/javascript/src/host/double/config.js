import { host } from './current.js';

export function get(key) {
  return host().config.get(key);
}
