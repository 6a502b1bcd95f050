// Write event handlers for Hostel in JavaScript and TypeScript. This file says what the package `hostel` offers; see
// `types/index.d.ts` for what each part promises.

export { CloudEvent, CloudEventError, publishCloudEvent } from './cloudevent.js';
export { config, requireConfig } from './config.js';
export { BodyError, ConfigError, FetchError, PublishError, Reject, Retry, SettleError } from './errors.js';
export { Event, Headers } from './event.js';
export { handler, init } from './handler.js';
export { publish } from './publish.js';
