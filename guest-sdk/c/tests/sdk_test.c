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

static hostel_header received[16];
static size_t received_count;

static hostel_test_run receive(hostel_outcome (*what)(const hostel_event *event), const char *body) {
    hostel_test_event event = {.topic = "a",
                               .headers = received,
                               .header_count = received_count,
                               .body = body,
                               .body_len = strlen(body)};
    act = what;
    return hostel_test(&event);
}

static void minimum_and(const char *name, const char *value) {
    static const hostel_header minimum[] = {
        {"Ce-Specversion", "1.0"}, {"ce-id", "1"}, {"CE-SOURCE", "/s"}, {"ce-type", "t"}};
    memcpy(received, minimum, sizeof minimum);
    received[4] = (hostel_header){name, value};
    received_count = 5;
}

static hostel_outcome read_cloud_event(const hostel_event *event) {
    hostel_cloud_event seen;
    if (hostel_event_cloud_event(event, &seen) != HOSTEL_OK)
        return hostel_fail();
    CHECK_TEXT(seen.id, "1");
    CHECK_TEXT(seen.source, "/s");
    CHECK_TEXT(seen.type, "t");
    CHECK_TEXT(seen.subject, "Euro \xe2\x82\xac");
    CHECK_TEXT(seen.datacontenttype, "text/plain");
    CHECK(!seen.time && !seen.dataschema && seen.extension_count == 2);
    CHECK_TEXT(hostel_cloud_event_extension(&seen, "comexample"), "a \"b\"");
    CHECK_TEXT(hostel_cloud_event_extension(&seen, "raw"), "{\"a\": 5}");
    CHECK(!hostel_cloud_event_extension(&seen, "other"));
    CHECK(seen.data_len == 4 && memcmp(seen.data, "data", 4) == 0);
    return HOSTEL_ACK;
}

static void a_cloud_event_is_read_with_what_nobody_knows(void) {
    minimum_and("ce-subject", "Euro%20%e2%82%ac");
    received[5] = (hostel_header){"ce-ComExample", "\"a \\\"b\\\"\""};
    received[6] = (hostel_header){"ce-raw", "{\"a\": 5}"};
    received[7] = (hostel_header){"Content-Type", "text/plain"};
    received[8] = (hostel_header){"X-Other", "1"};
    received_count = 9;
    CHECK(receive(read_cloud_event, "data").outcome == HOSTEL_ACK);
}

static void what_is_no_cloud_event_is_rejected_with_its_reason(void) {
    static const char *const malformed[] = {"%C0%A0", "%ED%A0%80", "%E2%82", "100%", "%4", "%zz", "%00",
                                            "\"a",     "\"a\" b",   "\"\\"};
    received_count = 0;
    CHECK_TEXT(receive(read_cloud_event, "").reason, "the event is no CloudEvent: it has no header `ce-specversion`");
    received[0] = (hostel_header){"ce-specversion", "0.3"};
    received_count = 1;
    CHECK_TEXT(receive(read_cloud_event, "").reason, "the value of attribute `specversion` is malformed");
    received[0].value = "1.0";
    hostel_test_run done = receive(read_cloud_event, "");
    CHECK(done.outcome == HOSTEL_REJECT);
    CHECK_TEXT(done.reason, "attribute `id` is missing");
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        minimum_and("ce-ext", malformed[i]);
        CHECK_TEXT(receive(read_cloud_event, "").reason, "the value of attribute `ext` is malformed");
    }
    minimum_and("ce-my-ext", "");
    CHECK_TEXT(receive(read_cloud_event, "").reason,
               "an extension cannot be called `my-ext`; names are of a-z and 0-9");
}

static const char *extension_name;

static hostel_outcome publish_cloud_event(const hostel_event *event) {
    (void)event;
    hostel_header extension = {extension_name, "5"};
    hostel_cloud_event packed = {.id = "7", .source = "/orders", .type = "packed", .extensions = &extension,
                                 .extension_count = 1, .data = "[1]", .data_len = 3};
    packed.subject = "100% \"sure\" \xe2\x82\xac\\";
    packed.datacontenttype = "application/json";
    const char *id;
    return hostel_publish_cloud_event("orders.packed", &packed, &id) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static hostel_outcome publish_nothing(const hostel_event *event) {
    (void)event;
    hostel_cloud_event none = {.id = "1", .source = ""};
    return hostel_publish_cloud_event("a", &none, NULL) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static void a_cloud_event_is_published_with_a_header_for_each_attribute(void) {
    static const char *const bad[] = {"A", "", "a-b", "time", "data"};
    extension_name = "number";
    hostel_test_run done = run(publish_cloud_event);
    CHECK(done.outcome == HOSTEL_ACK && done.published_count == 1);
    const hostel_test_published *message = &done.published[0];
    CHECK_TEXT(hostel_test_header(message, "ce-specversion"), "1.0");
    CHECK_TEXT(hostel_test_header(message, "ce-subject"), "100%25%20%22sure%22%20%E2%82%AC\\");
    CHECK_TEXT(hostel_test_header(message, "ce-number"), "5");
    CHECK_TEXT(hostel_test_header(message, "Content-Type"), "application/json");
    CHECK(!hostel_test_header(message, "ce-time"));
    CHECK_TEXT((const char *)message->body.data, "[1]");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        extension_name = bad[i];
        CHECK(run(publish_cloud_event).outcome == HOSTEL_REJECT);
    }
    CHECK_TEXT(run(publish_nothing).reason, "attribute `source` is missing");
}

int main(void) {
    RUN(an_event_tells_what_was_published);
    RUN(a_retry_has_its_reason_and_its_time);
    RUN(what_fails_says_what_becomes_of_the_event);
    RUN(a_malformed_topic_is_refused_with_what_is_wrong);
    RUN(a_run_tells_logs_ack_and_extension);
    RUN(buckets_keep_values);
    RUN(memory_of_a_delivery_is_freed_with_it);
    RUN(a_cloud_event_is_read_with_what_nobody_knows);
    RUN(what_is_no_cloud_event_is_rejected_with_its_reason);
    RUN(a_cloud_event_is_published_with_a_header_for_each_attribute);
    return FAILED();
}
