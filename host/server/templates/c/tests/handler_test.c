#include <hostel_test.h>

#include <hostel_check.h>

static void greets_by_name(void) {
    hostel_test_event event = {.topic = "{{topic}}", .body = "Ada", .body_len = 3};
    hostel_test_run run = hostel_test(&event);
    CHECK(run.outcome == HOSTEL_ACK);
    CHECK_TEXT(run.logs[0].text, "hello, Ada");
}

static void rejects_what_names_nobody(void) {
    hostel_test_event event = {.topic = "{{topic}}"};
    hostel_test_run run = hostel_test(&event);
    CHECK(run.outcome == HOSTEL_REJECT);
    CHECK_TEXT(run.reason, "no name in the event");
}

int main(void) {
    RUN(greets_by_name);
    RUN(rejects_what_names_nobody);
    return FAILED();
}
