// Config and secrets: what the manifest or the operator set.

import * as host from '#host/config';

import { ConfigError } from './errors.js';

export function config(key) {
  try {
    return host.get(key) ?? undefined;
  } catch (error) {
    const payload = error?.payload;
    if (payload === undefined) throw error;
    throw new ConfigError(`cannot read config key \`${key}\`: ${payload.val}`);
  }
}

export function requireConfig(key) {
  const value = config(key);
  if (value === undefined) {
    throw new ConfigError(`config key \`${key}\` is not set; set it under \`[config]\` in the handler's manifest`);
  }
  return value;
}
