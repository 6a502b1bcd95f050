/* Does what an event asks for and tells what came of it: the fixture by which every language is held to the same answers.
 * docs/languages.md says what each behaviour does; tests/tests/conformance.rs asks for them.
 *
 * The behaviour is the header Behaviour. What came of it is published on conformance.result: as JSON, but for echo. */

/* Standard C has neither clocks that wait nor randomness. */
#define _DEFAULT_SOURCE

#include <hostel.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define RESULT "conformance.result"
/* The other topic that the manifest allows, and one that it does not. */
#define OTHER "conformance.other"
#define DENIED "conformance.denied"

/* Events that this instance has counted. */
static unsigned count;

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

/* A text in JSON's quotes, or null. */
static const char *quoted(const char *text) {
    if (!text)
        return "null";
    char *out = (char *)hostel_alloc(6 * strlen(text) + 3), *at = out;
    *at++ = '"';
    for (; *text; text++) {
        unsigned char one = (unsigned char)*text;
        if (one < 0x20 || one == '"' || one == '\\')
            at += sprintf(at, "\\u%04x", one);
        else
            *at++ = *text;
    }
    *at++ = '"';
    *at = 0;
    return out;
}

/* Bytes as a list of numbers, or null. */
static const char *list(const uint8_t *bytes, size_t len) {
    if (!bytes)
        return "null";
    char *out = (char *)hostel_alloc(4 * len + 3), *at = out;
    *at++ = '[';
    for (size_t i = 0; i < len; i++)
        at += sprintf(at, i ? ",%u" : "%u", bytes[i]);
    *at++ = ']';
    *at = 0;
    return out;
}

static const char *boolean(bool value) { return value ? "true" : "false"; }

static hostel_outcome tell(const hostel_event *event, const char *answer) {
    hostel_header header = {"Content-Type", "application/json"};
    hostel_message message = {.headers = &header, .header_count = 1, .body = answer, .body_len = strlen(answer)};
    message.id = hostel_text("result-%s", hostel_event_id(event));
    return hostel_publish(RESULT, &message, NULL) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

/* ---- What an event asks for ------------------------------------------------------------------------------------------ */

/* The number in the header Milliseconds; 0 if there is none. */
static long milliseconds(const hostel_event *event) {
    const char *text = hostel_event_header(event, "Milliseconds");
    return text ? strtol(text, NULL, 10) : 0;
}

static void wait_for(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static uint64_t now_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The body as it came, and of the headers those that begin with x-. */
static hostel_outcome echo(const hostel_event *event) {
    const hostel_header *headers;
    size_t all = hostel_event_headers(event, &headers);
    hostel_bytes body = hostel_event_body(event);
    hostel_header *kept = (hostel_header *)hostel_alloc(all * sizeof *kept);
    hostel_message message = {.headers = kept, .body = body.data, .body_len = body.len};
    for (size_t i = 0; i < all; i++) {
        if (strncasecmp(headers[i].name, "x-", 2) == 0)
            kept[message.header_count++] = headers[i];
    }
    message.id = hostel_text("result-%s", hostel_event_id(event));
    return hostel_publish(RESULT, &message, NULL) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static hostel_outcome describe(const hostel_event *event) {
    const char *answer = hostel_text(
        "{\"id\":%s,\"topic\":%s,\"attempt\":%" PRIu32 ",\"published_at_ms\":%" PRIu64
        ",\"last_error\":%s,\"bytes\":%zu,\"header\":%s,\"missing\":%s}",
        quoted(hostel_event_id(event)), quoted(hostel_event_topic(event)), hostel_event_attempt(event),
        hostel_event_published_at_ms(event), quoted(hostel_event_last_error(event)), hostel_event_body(event).len,
        /* Written otherwise than it is sent. */
        quoted(hostel_event_header(event, "x-REPEATED")), quoted(hostel_event_header(event, "X-Missing")));
    return tell(event, answer);
}

static const char *refused(const char *topic) {
    hostel_message message = {0};
    switch (hostel_publish(topic, &message, NULL)) {
    case HOSTEL_DENIED:
        return hostel_text("[\"denied\",%s]", quoted(hostel_error()));
    case HOSTEL_INVALID:
        return hostel_text("[\"invalid\",%s]", quoted(hostel_error()));
    default:
        return hostel_text("[\"unexpected\",%s]", quoted(hostel_error()));
    }
}

static hostel_outcome publish(const hostel_event *event) {
    hostel_header header = {"X-Kind", "other"};
    hostel_message message = {.headers = &header, .header_count = 1, .body = "other", .body_len = 5};
    message.id = hostel_text("other-%s", hostel_event_id(event));
    const char *id;
    if (hostel_publish(OTHER, &message, &id) != HOSTEL_OK)
        return hostel_fail();
    return tell(event, hostel_text("{\"id\":%s,\"denied\":%s,\"invalid\":%s}", quoted(id), refused(DENIED),
                                   refused("conformance..other")));
}

static hostel_outcome publish_denied(const hostel_event *event) {
    (void)event;
    hostel_message message = {0};
    return hostel_publish(DENIED, &message, NULL) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static const char *key_list(hostel_bucket bucket) {
    const char *const *keys;
    size_t found;
    if (hostel_bucket_keys(bucket, &keys, &found) != HOSTEL_OK)
        return NULL;
    const char *text = "";
    for (size_t i = 0; i < found; i++)
        text = hostel_text("%s%s%s", text, i ? "," : "", quoted(keys[i]));
    return text;
}

static hostel_outcome keep(const hostel_event *event) {
    const char *key = hostel_text("%s-value", hostel_event_id(event));
    const char *number = hostel_text("%s-number", hostel_event_id(event));
    hostel_bucket bucket, forbidden;
    hostel_bytes before, after;
    bool exists, still;
    uint64_t sum;
    if (hostel_bucket_open("conformance", &bucket) != HOSTEL_OK ||
        hostel_bucket_get(bucket, key, &before) != HOSTEL_OK ||
        hostel_bucket_set(bucket, key, "\0\xffv", 3) != HOSTEL_OK ||
        hostel_bucket_get(bucket, key, &after) != HOSTEL_OK ||
        hostel_bucket_exists(bucket, key, &exists) != HOSTEL_OK ||
        hostel_bucket_increment(bucket, number, 2, &sum) != HOSTEL_OK ||
        hostel_bucket_increment(bucket, number, 3, &sum) != HOSTEL_OK)
        return hostel_fail();
    const char *keys = key_list(bucket);
    if (!keys || hostel_bucket_delete(bucket, key) != HOSTEL_OK ||
        hostel_bucket_exists(bucket, key, &still) != HOSTEL_OK)
        return hostel_fail();
    hostel_bucket_close(bucket);
    bool denied = hostel_bucket_open("forbidden", &forbidden) == HOSTEL_DENIED;
    return tell(event, hostel_text("{\"before\":%s,\"after\":%s,\"exists\":%s,\"sum\":%" PRIu64
                                   ",\"keys\":[%s],\"deleted\":%s,\"denied\":%s}",
                                   list(before.data, before.len), list(after.data, after.len), boolean(exists), sum,
                                   keys, boolean(!still), boolean(denied)));
}

static hostel_outcome keep_denied(const hostel_event *event) {
    (void)event;
    hostel_bucket bucket;
    return hostel_bucket_open("forbidden", &bucket) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static hostel_outcome config(const hostel_event *event) {
    const char *set, *unset;
    if (hostel_config("greeting", &set) != HOSTEL_OK)
        return hostel_fail();
    bool is_set = hostel_config("absent", &unset) != HOSTEL_NOT_SET;
    return tell(event, hostel_text("{\"set\":%s,\"unset\":%s}", quoted(set), is_set ? "\"unexpected\"" : "null"));
}

static hostel_outcome require_config(const hostel_event *event) {
    (void)event;
    const char *value;
    return hostel_config("absent", &value) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static hostel_outcome write_log(const hostel_event *event) {
    (void)event;
    hostel_trace("at trace");
    hostel_debug("at debug");
    hostel_info("at info: grüß dich");
    hostel_warn("at warn");
    hostel_err("at error");
    puts("on stdout");
    fputs("on stderr\n", stderr);
    return HOSTEL_ACK;
}

static hostel_outcome clocks(const hostel_event *event) {
    uint64_t began = now_ms(CLOCK_MONOTONIC);
    wait_for(milliseconds(event));
    uint64_t elapsed = now_ms(CLOCK_MONOTONIC) - began;
    return tell(event, hostel_text("{\"wall_ms\":%" PRIu64 ",\"elapsed_ms\":%" PRIu64 "}", now_ms(CLOCK_REALTIME),
                                   elapsed));
}

static hostel_outcome draw(const hostel_event *event) {
    uint8_t bytes[2][16];
    if (getentropy(bytes, sizeof bytes) != 0)
        return hostel_retry("there is no randomness", HOSTEL_BACKOFF);
    return tell(event, hostel_text("{\"random\":[%s,%s]}", list(bytes[0], 16), list(bytes[1], 16)));
}

static hostel_outcome ask(const hostel_event *event) {
    hostel_bytes body = hostel_event_body(event);
    hostel_header header = {"X-Sent", "sent"};
    hostel_http_request request = {.method = "POST", .url = hostel_event_header(event, "Url"), .headers = &header};
    request.header_count = 1;
    request.body = body.data;
    request.body_len = body.len;
    hostel_http_response answer, none;
    if (!request.url)
        return hostel_reject("header `Url` is missing");
    if (hostel_http_send(&request, &answer) != HOSTEL_OK)
        return hostel_fail();
    hostel_http_request forbidden = {.method = "GET", .url = hostel_event_header(event, "Denied-Url")};
    bool denied = forbidden.url && hostel_http_send(&forbidden, &none) == HOSTEL_DENIED;
    const char *text = hostel_text("%.*s", (int)answer.body.len, (const char *)answer.body.data);
    return tell(event, hostel_text("{\"status\":%u,\"header\":%s,\"body\":%s,\"denied\":%s}", (unsigned)answer.status,
                                   quoted(hostel_http_header(&answer, "X-Answered")), quoted(text), boolean(denied)));
}

static hostel_outcome retry(const hostel_event *event) {
    if (hostel_event_attempt(event) > 1)
        return describe(event);
    return hostel_retry("not yet: nö", hostel_event_header(event, "Milliseconds") ? milliseconds(event) : HOSTEL_BACKOFF);
}

static hostel_outcome reject(const hostel_event *event) {
    (void)event;
    return hostel_reject("rejected on demand: nö");
}

/* What a C program does when something cannot be: names for the stack trace, and its own word in the log. */
__attribute__((noinline)) static hostel_outcome innermost(const hostel_event *event) {
    hostel_err("failed on demand in attempt %u", (unsigned)hostel_event_attempt(event));
    abort();
}

__attribute__((noinline)) static hostel_outcome middle(const hostel_event *event) { return innermost(event); }

__attribute__((noinline)) static hostel_outcome outermost(const hostel_event *event) { return middle(event); }

/* What is published before holds, whatever happens after. */
static hostel_outcome acknowledge(const hostel_event *event) {
    hostel_message message = {.body = "before", .body_len = 6};
    if (hostel_publish(OTHER, &message, NULL) != HOSTEL_OK || hostel_event_ack(event) != HOSTEL_OK)
        return hostel_fail();
    bool second = hostel_event_ack(event) == HOSTEL_ALREADY_SETTLED;
    hostel_outcome told = tell(event, hostel_text("{\"already_settled\":%s}", boolean(second)));
    return told == HOSTEL_ACK ? outermost(event) : told;
}

static hostel_outcome extend(const hostel_event *event) {
    long asked = milliseconds(event);
    if (hostel_event_extend(event, 2 * (uint64_t)asked) != HOSTEL_OK)
        return hostel_fail();
    wait_for(asked);
    if (hostel_event_extend(event, 86400000) != HOSTEL_TOO_LONG)
        return tell(event, "{\"left_ms\":\"unexpected\"}");
    return tell(event, hostel_text("{\"left_ms\":%" PRIu64 "}", hostel_error_number()));
}

static hostel_outcome nap(const hostel_event *event) {
    wait_for(milliseconds(event));
    return tell(event, "{}");
}

static hostel_outcome increase(const hostel_event *event) { return tell(event, hostel_text("{\"count\":%u}", ++count)); }

static const struct {
    const char *name;
    hostel_outcome (*run)(const hostel_event *event);
} behaviours[] = {
    {"echo", echo},
    {"describe", describe},
    {"publish", publish},
    {"publish-denied", publish_denied},
    {"key-value", keep},
    {"key-value-denied", keep_denied},
    {"config", config},
    {"require-config", require_config},
    {"log", write_log},
    {"clocks", clocks},
    {"random", draw},
    {"http", ask},
    {"retry", retry},
    {"reject", reject},
    {"ack", acknowledge},
    {"extend", extend},
    {"sleep", nap},
    {"panic", outermost},
    {"count", increase},
};

static hostel_outcome handle(const hostel_event *event) {
    const char *name = hostel_event_header(event, "Behaviour");
    for (size_t i = 0; name && i < sizeof behaviours / sizeof *behaviours; i++) {
        if (strcmp(behaviours[i].name, name) == 0)
            return behaviours[i].run(event);
    }
    return hostel_reject(hostel_text("there is no behaviour \"%s\"", name ? name : ""));
}

HOSTEL_HANDLER(handle)

/* Refuses a deployment whose config says so. */
static hostel_outcome prepare(void) {
    const char *why;
    hostel_status status = hostel_config("refuse", &why);
    if (status == HOSTEL_NOT_SET)
        return HOSTEL_ACK;
    return status == HOSTEL_OK ? hostel_reject(hostel_text("refused on demand: %s", why)) : hostel_fail();
}

HOSTEL_INIT(prepare)
