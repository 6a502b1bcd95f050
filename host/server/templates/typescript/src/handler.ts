// Greets whoever an event names.

import { handler, Reject } from 'hostel';

/** What an event carries. */
interface Greeting {
  name: string;
}

function isGreeting(value: unknown): value is Greeting {
  return typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string';
}

export const subscriber = handler((event) => {
  const greeting = event.json();
  if (!isGreeting(greeting)) throw new Reject('no `name` in the event');
  console.info(`hello, ${greeting.name}`);
});
