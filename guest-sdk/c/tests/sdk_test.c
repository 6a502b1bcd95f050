/* The part of the SDK that does without a host, and the double. Its handler does what the test at hand says. */

#include <hostel_check.h>
#include <hostel_test.h>

#include <stdlib.h>

static hostel_outcome (*act)(const hostel_event *event);

static hostel_outcome handle(const hostel_event *event) { return act(event); }

HOSTEL_HANDLER(handle)

static hostel_test_run run(hostel_outcome (*what)(const hostel_event *event)) {
    static const hostel_header headers[] = {{"Kind", "a"}, {"kind", ""}};
    hostel_test_event event = {
        .id = "e-1", .topic = "a.b", .headers = headers, .header_count = 2, .body = "text", .body_len = 4};
    act = what;
    return hostel_test(&event);
}

static hostel_outcome read_event(const hostel_event *event) {
    CHECK_TEXT(hostel_event_id(event), "e-1");
    CHECK_TEXT(hostel_event_topic(event), "a.b");
    CHECK(hostel_event_attempt(event) == 1);
    CHECK(hostel_event_last_error(event) == NULL);
    const hostel_header *headers;
    CHECK(hostel_event_headers(event, &headers) == 2);
    CHECK_TEXT(headers[1].value, "");
    CHECK_TEXT(hostel_event_header(event, "KIND"), "a");
    CHECK(hostel_event_header(event, "other") == NULL);
    hostel_bytes body = hostel_event_body(event);
    CHECK(body.len == 4 && memcmp(body.data, "text", 4) == 0);
    return HOSTEL_ACK;
}

static void an_event_tells_what_was_published(void) {
    hostel_test_run done = run(read_event);
    CHECK(done.outcome == HOSTEL_ACK);
    CHECK(done.reason == NULL);
}

static hostel_outcome say_later(const hostel_event *event) {
    (void)event;
    return hostel_retry(hostel_text("closed until %d", 9), 1500);
}

static hostel_outcome say_no_more(const hostel_event *event) {
    (void)event;
    return HOSTEL_RETRY;
}

static void a_retry_has_its_reason_and_its_time(void) {
    hostel_test_run done = run(say_later);
    CHECK(done.outcome == HOSTEL_RETRY);
    CHECK(done.after_ms == 1500);
    CHECK_TEXT(done.reason, "closed until 9");
    /* Nothing of one run is left for the next. */
    done = run(say_no_more);
    CHECK(done.after_ms == HOSTEL_BACKOFF);
    CHECK_TEXT(done.reason, "the handler gave no reason");
}

static hostel_outcome publish_and_fail(const hostel_event *event) {
    (void)event;
    hostel_message message = {.body = "x", .body_len = 1};
    const char *id;
    if (hostel_publish("out", &message, &id) != HOSTEL_OK)
        return hostel_fail();
    CHECK_TEXT(id, "published-1");
    return HOSTEL_ACK;
}

static void what_fails_says_what_becomes_of_the_event(void) {
    static const struct {
        hostel_status status;
        hostel_outcome outcome;
        int64_t after_ms;
    } cases[] = {
        {HOSTEL_DENIED, HOSTEL_REJECT, HOSTEL_BACKOFF},   {HOSTEL_INVALID, HOSTEL_REJECT, HOSTEL_BACKOFF},
        {HOSTEL_TOO_LARGE, HOSTEL_REJECT, HOSTEL_BACKOFF}, {HOSTEL_OVERLOADED, HOSTEL_RETRY, 70},
        {HOSTEL_FAILED, HOSTEL_RETRY, HOSTEL_BACKOFF},
    };
    CHECK(run(publish_and_fail).outcome == HOSTEL_ACK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hostel_test_reset();
        hostel_test_refuse("out", cases[i].status, 70);
        hostel_test_run done = run(publish_and_fail);
        CHECK(done.outcome == cases[i].outcome);
        CHECK(done.after_ms == cases[i].after_ms);
        CHECK(done.published_count == 0);
    }
}

static const char *bad_topic;

static hostel_outcome publish_badly(const hostel_event *event) {
    (void)event;
    hostel_message message = {0};
    return hostel_publish(bad_topic, &message, NULL) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static void a_malformed_topic_is_refused_with_what_is_wrong(void) {
    static const char *const cases[][2] = {
        {"", "topic is empty"},
        {"a..b", "topic `a..b` has an empty token"},
        {".a", "topic `.a` has an empty token"},
        {"a b", "topic `a b` has ' '; allowed are A-Z, a-z, 0-9, ., _ and -"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bad_topic = cases[i][0];
        CHECK_TEXT(run(publish_badly).reason, cases[i][1]);
    }
}

static hostel_outcome settle(const hostel_event *event) {
    CHECK(hostel_event_extend(event, 9000) == HOSTEL_OK);
    CHECK(hostel_event_ack(event) == HOSTEL_OK);
    CHECK(hostel_event_ack(event) == HOSTEL_ALREADY_SETTLED);
    CHECK_TEXT(hostel_error(), "the delivery was settled before");
    hostel_warn("%s %d", "two", 2);
    return HOSTEL_ACK;
}

static void a_run_tells_logs_ack_and_extension(void) {
    hostel_test_run done = run(settle);
    CHECK(done.acked);
    CHECK(done.extended_ms == 9000);
    CHECK(done.log_count == 1 && done.logs[0].level == HOSTEL_LOG_WARN);
    CHECK_TEXT(done.logs[0].context, "settle");
    CHECK_TEXT(done.logs[0].text, "two 2");
}

static hostel_outcome use_bucket(const hostel_event *event) {
    (void)event;
    hostel_bucket bucket;
    CHECK(hostel_bucket_open("other", &bucket) == HOSTEL_NO_SUCH_BUCKET);
    CHECK(hostel_bucket_open("totals", &bucket) == HOSTEL_OK);
    hostel_bytes value;
    bool exists;
    uint64_t sum;
    CHECK(hostel_bucket_get(bucket, "a", &value) == HOSTEL_OK && value.data == NULL);
    hostel_bucket_set(bucket, "a", "one", 3);
    hostel_bucket_set(bucket, "a", "x", 1);
    CHECK(hostel_bucket_get(bucket, "a", &value) == HOSTEL_OK && value.len == 1 && value.data[0] == 'x');
    hostel_bucket_increment(bucket, "n", 2, &sum);
    hostel_bucket_increment(bucket, "n", 3, &sum);
    CHECK(sum == 5);
    CHECK(hostel_bucket_increment(bucket, "a", 1, &sum) == HOSTEL_FAILED);
    const char *const *keys;
    size_t count;
    CHECK(hostel_bucket_keys(bucket, &keys, &count) == HOSTEL_OK && count == 2);
    hostel_bucket_delete(bucket, "a");
    CHECK(hostel_bucket_exists(bucket, "a", &exists) == HOSTEL_OK && !exists);
    hostel_bucket_close(bucket);
    return HOSTEL_ACK;
}

static void buckets_keep_values(void) {
    hostel_test_bucket("totals");
    run(use_bucket);
}

static hostel_outcome take_much(const hostel_event *event) {
    (void)event;
    /* More than the list of what a delivery owns begins with. */
    for (int i = 0; i < 1000; i++)
        *(char *)hostel_alloc(1) = 1;
    return HOSTEL_ACK;
}

static void memory_of_a_delivery_is_freed_with_it(void) {
    for (int i = 0; i < 3; i++)
        CHECK(run(take_much).outcome == HOSTEL_ACK);
}

int main(void) {
    RUN(an_event_tells_what_was_published);
    RUN(a_retry_has_its_reason_and_its_time);
    RUN(what_fails_says_what_becomes_of_the_event);
    RUN(a_malformed_topic_is_refused_with_what_is_wrong);
    RUN(a_run_tells_logs_ack_and_extension);
    RUN(buckets_keep_values);
    RUN(memory_of_a_delivery_is_freed_with_it);
    return FAILED();
}
