// The smallest handler: logs the event and acknowledges it.

import { handler } from 'hostel';

export const subscriber = handler((event) => {
  const { id, topic, attempt, body } = event;
  console.log(`hello, event ${id} on ${topic}, attempt ${attempt}, with ${body.length} bytes`);
});
