// Greets whoever an event names.

import { handler, Reject } from 'hostel';

export const subscriber = handler((event) => {
  const { name } = event.json();
  if (typeof name !== 'string') throw new Reject('no `name` in the event');
  console.info(`hello, ${name}`);
});
