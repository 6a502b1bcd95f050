/* The smallest handler: logs the event and acknowledges it. */

#include <hostel.h>

static hostel_outcome handle(const hostel_event *event) {
    hostel_info("hello, event %s on %s, attempt %u, with %zu bytes", hostel_event_id(event), hostel_event_topic(event),
                (unsigned)hostel_event_attempt(event), hostel_event_body(event).len);
    return HOSTEL_ACK;
}

HOSTEL_HANDLER(handle)
