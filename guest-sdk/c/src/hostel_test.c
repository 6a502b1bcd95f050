/* The SDK in a test: hostel.h over a double of the host. */

#include "hostel_test.h"

#include "delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Rules and effects of one kind each. Arbitrary; a test that needs more is told. */
#define ROOM 256

struct hostel_event {
    const hostel_test_event *given;
};

typedef struct {
    int32_t bucket;
    char *key;
    char *value;
    size_t len;
} entry;

static struct {
    struct {
        const char *key, *value;
    } config[ROOM];
    struct {
        const char *topic;
        hostel_status status;
        uint64_t number;
    } refusals[ROOM];
    const char *buckets[ROOM];
    struct {
        const char *url;
        const hostel_http_response *response;
    } answers[ROOM];
    size_t config_count, refusal_count, bucket_count, answer_count;
    entry entries[ROOM];
    size_t entry_count;

    hostel_test_published published[ROOM];
    hostel_test_line logs[ROOM];
    hostel_test_request requests[ROOM];
    hostel_test_run run;
    /* What the run holds, freed by the next one. */
    void *kept[16 * ROOM];
    size_t kept_count;
} host;

static void need_room(size_t count, size_t room, const char *what) {
    if (count >= room) {
        fprintf(stderr, "hostel_test: more than %zu %s\n", room, what);
        abort();
    }
}

static void *keep(const void *bytes, size_t len) {
    need_room(host.kept_count, sizeof host.kept / sizeof *host.kept, "things to keep of one run");
    char *copy = (char *)malloc(len + 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = 0;
    return host.kept[host.kept_count++] = copy;
}

static const char *keep_text(const char *text) { return (const char *)keep(text, strlen(text)); }

/* ---- Running --------------------------------------------------------------------------------------------------------- */

static void begin(void) {
    for (size_t i = 0; i < host.kept_count; i++)
        free(host.kept[i]);
    host.kept_count = 0;
    memset(&host.run, 0, sizeof host.run);
    host.run.published = host.published;
    host.run.logs = host.logs;
    host.run.requests = host.requests;
}

static hostel_test_run ended(hostel_outcome outcome) {
    host.run.outcome = outcome;
    host.run.after_ms = HOSTEL_BACKOFF;
    if (outcome != HOSTEL_ACK) {
        const char *reason = hostel_delivery_reason(&host.run.after_ms);
        host.run.reason = keep_text(reason);
    }
    if (outcome == HOSTEL_REJECT)
        host.run.after_ms = HOSTEL_BACKOFF;
    hostel_delivery_end();
    return host.run;
}

hostel_test_run hostel_test(const hostel_test_event *given) {
    begin();
    hostel_event event = {given};
    return ended(hostel_handler(&event));
}

/* A handler without HOSTEL_INIT has nothing to prepare. */
__attribute__((weak)) hostel_outcome hostel_init(void) { return HOSTEL_ACK; }

hostel_test_run hostel_test_init(void) {
    begin();
    return ended(hostel_init());
}

void hostel_test_config(const char *key, const char *value) {
    need_room(host.config_count, ROOM, "config keys");
    host.config[host.config_count].key = key;
    host.config[host.config_count++].value = value;
}

void hostel_test_refuse(const char *topic, hostel_status status, uint64_t number) {
    need_room(host.refusal_count, ROOM, "refusals");
    host.refusals[host.refusal_count].topic = topic;
    host.refusals[host.refusal_count].status = status;
    host.refusals[host.refusal_count++].number = number;
}

void hostel_test_bucket(const char *name) {
    need_room(host.bucket_count, ROOM, "buckets");
    host.buckets[host.bucket_count++] = name;
}

void hostel_test_respond(const char *url, const hostel_http_response *response) {
    need_room(host.answer_count, ROOM, "answers to requests");
    host.answers[host.answer_count].url = url;
    host.answers[host.answer_count++].response = response;
}

void hostel_test_reset(void) {
    begin();
    for (size_t i = 0; i < host.entry_count; i++) {
        free(host.entries[i].key);
        free(host.entries[i].value);
    }
    memset(&host, 0, sizeof host);
}

/* ---- The event ------------------------------------------------------------------------------------------------------- */

static const char *find_header(const hostel_header *headers, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(headers[i].name, name) == 0)
            return headers[i].value;
    }
    return NULL;
}

const char *hostel_test_header(const hostel_test_published *published, const char *name) {
    return find_header(published->headers, published->header_count, name);
}

/* A copy, so that keeping it beyond the delivery is found by whoever looks for misused memory. */
static const char *lend(const char *text) { return text ? hostel_delivery_copy(text, strlen(text)) : NULL; }

const char *hostel_event_id(const hostel_event *event) {
    return lend(event->given->id ? event->given->id : "00000000-0000-7000-8000-000000000001");
}

const char *hostel_event_topic(const hostel_event *event) { return lend(event->given->topic); }

uint32_t hostel_event_attempt(const hostel_event *event) { return event->given->attempt ? event->given->attempt : 1; }

uint64_t hostel_event_published_at_ms(const hostel_event *event) { return event->given->published_at_ms; }

size_t hostel_event_headers(const hostel_event *event, const hostel_header **headers) {
    size_t count = event->given->header_count;
    hostel_header *copies = (hostel_header *)hostel_alloc(count * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        copies[i].name = lend(event->given->headers[i].name);
        copies[i].value = lend(event->given->headers[i].value);
    }
    *headers = copies;
    return count;
}

const char *hostel_event_header(const hostel_event *event, const char *name) {
    return lend(find_header(event->given->headers, event->given->header_count, name));
}

hostel_bytes hostel_event_body(const hostel_event *event) {
    size_t len = event->given->body_len;
    uint8_t *copy = (uint8_t *)hostel_alloc(len);
    if (len)
        memcpy(copy, event->given->body, len);
    hostel_bytes body = {copy, len};
    return body;
}

const char *hostel_event_last_error(const hostel_event *event) { return lend(event->given->last_error); }

hostel_status hostel_event_ack(const hostel_event *event) {
    (void)event;
    if (host.run.acked)
        return hostel_delivery_failed(HOSTEL_ALREADY_SETTLED, "the delivery was settled before", 0);
    host.run.acked = true;
    return HOSTEL_OK;
}

hostel_status hostel_event_extend(const hostel_event *event, uint64_t ms) {
    (void)event;
    host.run.extended_ms = ms;
    return HOSTEL_OK;
}

/* ---- Publishing, config, logs ---------------------------------------------------------------------------------------- */

/* The host's rule for topics; NULL if it is kept. */
static const char *topic_problem(const char *topic) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(topic);
    if (len == 0)
        return "topic is empty";
    if (len > 255)
        return hostel_text("topic has %zu bytes, more than 255", len);
    if (topic[0] == '.' || topic[len - 1] == '.' || strstr(topic, ".."))
        return hostel_text("topic `%s` has an empty token", topic);
    size_t good = strspn(topic, allowed);
    if (good < len)
        return hostel_text("topic `%s` has '%c'; allowed are A-Z, a-z, 0-9, ., _ and -", topic, topic[good]);
    return NULL;
}

/* The host's rule for headers; NULL if it is kept. White space beyond ASCII is left to the host. */
static const char *header_problem(const hostel_message *message) {
    size_t size = 0;
    for (size_t i = 0; i < message->header_count; i++) {
        const char *name = message->headers[i].name;
        size_t len = strlen(name);
        bool printable = true;
        for (size_t j = 0; j < len; j++)
            printable = printable && (unsigned char)name[j] > ' ' && name[j] != 0x7f;
        if (len == 0 || len > 256 || !printable)
            return hostel_text(
                "header name \"%s\" is not 1 to 256 bytes without white space and control characters", name);
        size += len + strlen(message->headers[i].value);
    }
    if (message->header_count + (message->id ? 1 : 0) > 128)
        return "a message has at most 128 headers";
    return size > 64 * 1024 ? "the headers of a message have at most 65536 bytes" : NULL;
}

static const char *refusal_text(const char *topic, hostel_status status) {
    switch (status) {
    case HOSTEL_DENIED:
        return hostel_text("add \"%s\" to `publish` in the handler's manifest", topic);
    case HOSTEL_TOO_LARGE:
        return "the message is larger than the host takes";
    case HOSTEL_OVERLOADED:
        return "the host is overloaded";
    default:
        return "refused by the test";
    }
}

/* With room for one more. */
static hostel_header *keep_headers(const hostel_header *given, size_t count) {
    hostel_header *headers = (hostel_header *)malloc((count + 1) * sizeof *headers);
    if (!headers)
        abort();
    need_room(host.kept_count, sizeof host.kept / sizeof *host.kept, "things to keep of one run");
    host.kept[host.kept_count++] = headers;
    for (size_t i = 0; i < count; i++) {
        headers[i].name = keep_text(given[i].name);
        headers[i].value = keep_text(given[i].value);
    }
    return headers;
}

hostel_status hostel_publish(const char *topic, const hostel_message *message, const char **id) {
    const char *problem = topic_problem(topic);
    if (!problem)
        problem = header_problem(message);
    if (problem)
        return hostel_delivery_failed(HOSTEL_INVALID, problem, 0);
    for (size_t i = 0; i < host.refusal_count; i++) {
        if (strcmp(host.refusals[i].topic, topic) == 0)
            return hostel_delivery_failed(host.refusals[i].status, refusal_text(topic, host.refusals[i].status),
                                          host.refusals[i].number);
    }
    need_room(host.run.published_count, ROOM, "events published by one run");
    hostel_test_published *kept = &host.published[host.run.published_count++];
    kept->topic = keep_text(topic);
    kept->header_count = message->header_count;
    hostel_header *headers = keep_headers(message->headers, message->header_count);
    if (message->id) {
        headers[kept->header_count].name = "Hostel-Id";
        headers[kept->header_count++].value = keep_text(message->id);
    }
    kept->headers = headers;
    kept->body.data = (const uint8_t *)keep(message->body, message->body_len);
    kept->body.len = message->body_len;
    kept->id = find_header(kept->headers, kept->header_count, "Hostel-Id");
    if (!kept->id)
        kept->id = keep_text(hostel_text("published-%zu", host.run.published_count));
    if (id)
        *id = lend(kept->id);
    return HOSTEL_OK;
}

hostel_status hostel_config(const char *key, const char **value) {
    *value = NULL;
    for (size_t i = 0; i < host.config_count; i++) {
        if (strcmp(host.config[i].key, key) == 0)
            *value = lend(host.config[i].value);
    }
    return *value ? HOSTEL_OK : hostel_delivery_not_set(key);
}

void hostel_log(hostel_level level, const char *context, const char *text) {
    need_room(host.run.log_count, ROOM, "lines logged by one run");
    hostel_test_line *line = &host.logs[host.run.log_count++];
    line->level = level;
    line->context = keep_text(context);
    line->text = keep_text(text);
}

/* ---- Buckets --------------------------------------------------------------------------------------------------------- */

static entry *find_entry(hostel_bucket bucket, const char *key) {
    for (size_t i = 0; i < host.entry_count; i++) {
        if (host.entries[i].bucket == bucket.handle && strcmp(host.entries[i].key, key) == 0)
            return &host.entries[i];
    }
    return NULL;
}

hostel_status hostel_bucket_open(const char *name, hostel_bucket *bucket) {
    for (size_t i = 0; i < host.bucket_count; i++) {
        if (strcmp(host.buckets[i], name) == 0) {
            bucket->handle = (int32_t)i;
            return HOSTEL_OK;
        }
    }
    return hostel_delivery_failed(HOSTEL_NO_SUCH_BUCKET, "there is no such bucket", 0);
}

hostel_status hostel_bucket_get(hostel_bucket bucket, const char *key, hostel_bytes *value) {
    const entry *found = find_entry(bucket, key);
    value->data = found ? (const uint8_t *)hostel_delivery_copy(found->value, found->len) : NULL;
    value->len = found ? found->len : 0;
    return HOSTEL_OK;
}

hostel_status hostel_bucket_set(hostel_bucket bucket, const char *key, const void *value, size_t len) {
    entry *place = find_entry(bucket, key);
    if (!place) {
        need_room(host.entry_count, ROOM, "values in buckets");
        place = &host.entries[host.entry_count++];
        place->bucket = bucket.handle;
        place->key = strdup(key);
        place->value = NULL;
    }
    free(place->value);
    place->value = (char *)calloc(1, len + 1);
    if (!place->key || !place->value)
        abort();
    if (len)
        memcpy(place->value, value, len);
    place->len = len;
    return HOSTEL_OK;
}

hostel_status hostel_bucket_delete(hostel_bucket bucket, const char *key) {
    entry *found = find_entry(bucket, key);
    if (found) {
        free(found->key);
        free(found->value);
        *found = host.entries[--host.entry_count];
    }
    return HOSTEL_OK;
}

hostel_status hostel_bucket_exists(hostel_bucket bucket, const char *key, bool *exists) {
    *exists = find_entry(bucket, key) != NULL;
    return HOSTEL_OK;
}

/* Numbers are kept as decimal text: arbitrary, the contract does not say how. */
hostel_status hostel_bucket_increment(hostel_bucket bucket, const char *key, uint64_t delta, uint64_t *sum) {
    const entry *found = find_entry(bucket, key);
    *sum = delta;
    if (found) {
        char *end;
        unsigned long long number = strtoull(found->value, &end, 10);
        if (found->len == 0 || *end)
            return hostel_delivery_failed(HOSTEL_FAILED, hostel_text("the value of `%s` is no number", key), 0);
        *sum += number;
    }
    const char *text = hostel_text("%llu", (unsigned long long)*sum);
    return hostel_bucket_set(bucket, key, text, strlen(text));
}

hostel_status hostel_bucket_keys(hostel_bucket bucket, const char *const **keys, size_t *count) {
    const char **found = (const char **)hostel_alloc((host.entry_count + 1) * sizeof *found);
    *count = 0;
    for (size_t i = 0; i < host.entry_count; i++) {
        if (host.entries[i].bucket == bucket.handle)
            found[(*count)++] = lend(host.entries[i].key);
    }
    *keys = found;
    return HOSTEL_OK;
}

void hostel_bucket_close(hostel_bucket bucket) { (void)bucket; }

/* ---- HTTP requests --------------------------------------------------------------------------------------------------- */

hostel_status hostel_http_send(const hostel_http_request *request, hostel_http_response *response) {
    memset(response, 0, sizeof *response);
    need_room(host.run.request_count, ROOM, "requests of one run");
    hostel_test_request *kept = &host.requests[host.run.request_count++];
    kept->method = keep_text(request->method ? request->method : "GET");
    kept->url = keep_text(request->url);
    kept->headers = keep_headers(request->headers, request->header_count);
    kept->header_count = request->header_count;
    kept->body.data = (const uint8_t *)keep(request->body, request->body_len);
    kept->body.len = request->body_len;
    for (size_t i = 0; i < host.answer_count; i++) {
        if (strcmp(host.answers[i].url, request->url) == 0) {
            *response = *host.answers[i].response;
            return HOSTEL_OK;
        }
    }
    return hostel_delivery_failed(
        HOSTEL_DENIED,
        hostel_text("a request to `%s` was denied: add its server to `http` in handler.toml", request->url), 0);
}
