/* conformance, natively. */

#include <hostel_test.h>

#include <string.h>

#include <hostel_check.h>

static void a_body_and_its_headers_come_back(void) {
    hostel_header headers[] = {{"Behaviour", "echo"}, {"X-A", ""}};
    hostel_test_event event = {.topic = "conformance.do", .headers = headers, .header_count = 2};
    event.body = "\0\xff";
    event.body_len = 2;
    hostel_test_run run = hostel_test(&event);
    CHECK(run.outcome == HOSTEL_ACK);
    CHECK(run.published_count == 1);
    CHECK(run.published[0].body.len == 2 && memcmp(run.published[0].body.data, "\0\xff", 2) == 0);
    CHECK(run.published[0].header_count == 2);
    CHECK_TEXT(hostel_test_header(&run.published[0], "x-a"), "");
}

static void an_unknown_behaviour_is_rejected(void) {
    hostel_header header = {"Behaviour", "sing"};
    hostel_test_event event = {.topic = "conformance.do", .headers = &header, .header_count = 1};
    hostel_test_run run = hostel_test(&event);
    CHECK(run.outcome == HOSTEL_REJECT);
    CHECK_TEXT(run.reason, "there is no behaviour \"sing\"");
}

static void a_config_refuses_the_deployment(void) {
    hostel_test_config("refuse", "no");
    hostel_test_run run = hostel_test_init();
    CHECK(run.outcome == HOSTEL_REJECT);
    CHECK_TEXT(run.reason, "refused on demand: no");
    hostel_test_reset();
}

static void an_answer_is_told(void) {
    hostel_header headers[] = {{"Behaviour", "http"}, {"Url", "http://a.example/"}, {"Denied-Url", "http://b.example/"}};
    hostel_test_event event = {.topic = "conformance.do", .headers = headers, .header_count = 3};
    hostel_header answered = {"X-Answered", "yes"};
    hostel_http_response answer = {.status = 200, .headers = &answered, .header_count = 1};
    answer.body.data = (const uint8_t *)"hello";
    answer.body.len = 5;
    hostel_test_respond("http://a.example/", &answer);
    hostel_test_run run = hostel_test(&event);
    CHECK(run.outcome == HOSTEL_ACK);
    CHECK_TEXT((const char *)run.published[0].body.data,
               "{\"status\":200,\"header\":\"yes\",\"body\":\"hello\",\"denied\":true}");
    hostel_test_reset();
}

int main(void) {
    RUN(a_body_and_its_headers_come_back);
    RUN(an_unknown_behaviour_is_rejected);
    RUN(a_config_refuses_the_deployment);
    RUN(an_answer_is_told);
    return FAILED();
}
