/* hello, natively. */

#include <hostel_test.h>

#include <string.h>

#include <hostel_check.h>

static void logs_the_event_and_acknowledges_it(void) {
    hostel_test_event event = {.id = "e-1", .topic = "greetings.sent", .attempt = 2, .body = "hi", .body_len = 2};
    hostel_test_run run = hostel_test(&event);
    CHECK(run.outcome == HOSTEL_ACK);
    CHECK(run.published_count == 0);
    CHECK(run.log_count == 1);
    CHECK_TEXT(run.logs[0].text, "hello, event e-1 on greetings.sent, attempt 2, with 2 bytes");
}

static void takes_a_body_that_is_not_text(void) {
    hostel_test_event event = {.topic = "a", .body = "\xff\0", .body_len = 2};
    CHECK(hostel_test(&event).outcome == HOSTEL_ACK);
}

int main(void) {
    RUN(logs_the_event_and_acknowledges_it);
    RUN(takes_a_body_that_is_not_text);
    return FAILED();
}
