/* Greets whoever an event names: its body is a name. */

#include <hostel.h>

static hostel_outcome handle(const hostel_event *event) {
    hostel_bytes name = hostel_event_body(event);
    if (name.len == 0)
        return hostel_reject("no name in the event");
    hostel_info("hello, %.*s", (int)name.len, (const char *)name.data);
    return HOSTEL_ACK;
}

HOSTEL_HANDLER(handle)
