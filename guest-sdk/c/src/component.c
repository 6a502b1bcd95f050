/* The SDK in a component: hostel.h over the generated bindings. */

#ifndef __wasm__
#error "component.c is for components; link hostel_test.c instead for tests"
#endif

#include "delivery.h"

#include "../bindings/bindings.h"

#include <stdlib.h>
#include <string.h>

struct hostel_event {
    hostel_handler_events_borrow_event_t handle;
};

/* The bindings want an object file linked that holds the world's types. The tool that makes the component adds them
 * instead, as it does for other languages, and nothing binary needs to be kept. */
void __component_type_object_force_link_bindings(void);
void __component_type_object_force_link_bindings(void) {}

/* ---- What the host gives is malloc's, and becomes the delivery's. What is empty is nobody's: its address is none. ------ */

static const char *adopt_text(bindings_string_t text) {
    if (text.len == 0)
        return "";
    char *longer = (char *)realloc(text.ptr, text.len + 1);
    if (!longer)
        abort();
    longer[text.len] = 0;
    return (const char *)hostel_delivery_adopt(longer);
}

static hostel_bytes adopt_bytes(bindings_list_u8_t bytes) {
    if (bytes.len == 0) {
        hostel_bytes empty = {(const uint8_t *)"", 0};
        return empty;
    }
    hostel_bytes adopted = {(const uint8_t *)hostel_delivery_adopt(bytes.ptr), bytes.len};
    return adopted;
}

/* ---- What is lent to the host for one call; the bindings want it without const --------------------------------------- */

static bindings_string_t lend_text(const char *text) {
    bindings_string_t lent = {(uint8_t *)text, strlen(text)};
    return lent;
}

/* ---- Exports --------------------------------------------------------------------------------------------------------- */

/* The host reads a reason after the export has returned, and the bindings free it then: it is malloc's. */
static bindings_string_t keep_reason(const char *reason) {
    bindings_string_t kept;
    bindings_string_dup(&kept, reason);
    return kept;
}

bool exports_hostel_handler_subscriber_handle(exports_hostel_handler_subscriber_borrow_event_t lent,
                                              exports_hostel_handler_subscriber_failure_t *failure) {
    hostel_event event = {lent};
    hostel_outcome outcome = hostel_handler(&event);
    hostel_handler_events_event_drop_borrow(lent);
    int64_t after_ms;
    const char *reason = hostel_delivery_reason(&after_ms);
    switch (outcome) {
    case HOSTEL_ACK:
        break;
    case HOSTEL_REJECT:
        failure->tag = HOSTEL_HANDLER_TYPES_FAILURE_REJECT;
        failure->val.reject = keep_reason(reason);
        break;
    default:
        failure->tag = HOSTEL_HANDLER_TYPES_FAILURE_RETRY;
        failure->val.retry.reason = keep_reason(reason);
        failure->val.retry.after_ms.is_some = after_ms >= 0;
        failure->val.retry.after_ms.val = (uint64_t)(after_ms < 0 ? 0 : after_ms);
    }
    hostel_delivery_end();
    return outcome == HOSTEL_ACK;
}

/* The contract's result<_, string>. The bindings have no lifecycle, or every component would export it. */
const void *hostel_returned_init(hostel_outcome outcome) {
    static struct {
        uint8_t is_err;
        bindings_string_t reason;
    } returned;
    int64_t after_ms;
    returned.is_err = outcome != HOSTEL_ACK;
    if (returned.is_err)
        returned.reason = keep_reason(hostel_delivery_reason(&after_ms));
    hostel_delivery_end();
    return &returned;
}

/* ---- The event ------------------------------------------------------------------------------------------------------- */

const char *hostel_event_id(const hostel_event *event) {
    bindings_string_t id;
    hostel_handler_events_method_event_id(event->handle, &id);
    return adopt_text(id);
}

const char *hostel_event_topic(const hostel_event *event) {
    bindings_string_t topic;
    hostel_handler_events_method_event_topic(event->handle, &topic);
    return adopt_text(topic);
}

uint32_t hostel_event_attempt(const hostel_event *event) {
    return hostel_handler_events_method_event_attempt(event->handle);
}

uint64_t hostel_event_published_at_ms(const hostel_event *event) {
    return hostel_handler_events_method_event_published_at_ms(event->handle);
}

size_t hostel_event_headers(const hostel_event *event, const hostel_header **headers) {
    hostel_handler_events_headers_t given;
    hostel_handler_events_method_event_headers(event->handle, &given);
    hostel_header *adopted = (hostel_header *)hostel_alloc(given.len * sizeof *adopted);
    for (size_t i = 0; i < given.len; i++) {
        adopted[i].name = adopt_text(given.ptr[i].f0);
        adopted[i].value = adopt_text(given.ptr[i].f1);
    }
    if (given.len)
        free(given.ptr);
    *headers = adopted;
    return given.len;
}

const char *hostel_event_header(const hostel_event *event, const char *name) {
    bindings_string_t lent = lend_text(name), value;
    return hostel_handler_events_method_event_header(event->handle, &lent, &value) ? adopt_text(value) : NULL;
}

hostel_bytes hostel_event_body(const hostel_event *event) {
    bindings_list_u8_t body;
    hostel_handler_events_method_event_body(event->handle, &body);
    return adopt_bytes(body);
}

const char *hostel_event_last_error(const hostel_event *event) {
    bindings_string_t error;
    return hostel_handler_events_method_event_error(event->handle, &error) ? adopt_text(error) : NULL;
}

static hostel_status settled(bool ok, hostel_handler_events_settle_error_t *error) {
    if (ok)
        return HOSTEL_OK;
    switch (error->tag) {
    case HOSTEL_HANDLER_TYPES_SETTLE_ERROR_ALREADY_SETTLED:
        return hostel_delivery_failed(HOSTEL_ALREADY_SETTLED, "the delivery was settled before", 0);
    case HOSTEL_HANDLER_TYPES_SETTLE_ERROR_TOO_LONG:
        return hostel_delivery_failed(HOSTEL_TOO_LONG, "the deadline lies beyond what the host allows",
                                      error->val.too_long);
    default:
        return hostel_delivery_failed(HOSTEL_FAILED, adopt_text(error->val.failed), 0);
    }
}

hostel_status hostel_event_ack(const hostel_event *event) {
    hostel_handler_events_settle_error_t error;
    return settled(hostel_handler_events_method_event_ack(event->handle, &error), &error);
}

hostel_status hostel_event_extend(const hostel_event *event, uint64_t ms) {
    hostel_handler_events_settle_error_t error;
    return settled(hostel_handler_events_method_event_extend(event->handle, ms, &error), &error);
}

/* ---- Publishing, config, logs ---------------------------------------------------------------------------------------- */

static hostel_status not_published(const hostel_handler_publisher_publish_error_t *error) {
    switch (error->tag) {
    case HOSTEL_HANDLER_TYPES_PUBLISH_ERROR_DENIED:
        return hostel_delivery_failed(HOSTEL_DENIED, adopt_text(error->val.denied), 0);
    case HOSTEL_HANDLER_TYPES_PUBLISH_ERROR_INVALID:
        return hostel_delivery_failed(HOSTEL_INVALID, adopt_text(error->val.invalid), 0);
    case HOSTEL_HANDLER_TYPES_PUBLISH_ERROR_TOO_LARGE:
        return hostel_delivery_failed(HOSTEL_TOO_LARGE, "the message is larger than the host takes",
                                      error->val.too_large);
    case HOSTEL_HANDLER_TYPES_PUBLISH_ERROR_OVERLOADED:
        return hostel_delivery_failed(HOSTEL_OVERLOADED, "the host is overloaded", error->val.overloaded);
    default:
        return hostel_delivery_failed(HOSTEL_FAILED, adopt_text(error->val.failed), 0);
    }
}

hostel_status hostel_publish(const char *topic, const hostel_message *message, const char **id) {
    size_t count = message->header_count + (message->id ? 1 : 0);
    bindings_tuple2_string_string_t *headers =
        (bindings_tuple2_string_string_t *)hostel_alloc(count * sizeof *headers);
    for (size_t i = 0; i < message->header_count; i++) {
        headers[i].f0 = lend_text(message->headers[i].name);
        headers[i].f1 = lend_text(message->headers[i].value);
    }
    if (message->id) {
        headers[count - 1].f0 = lend_text("Hostel-Id");
        headers[count - 1].f1 = lend_text(message->id);
    }
    hostel_handler_publisher_message_t lent = {{headers, count}, {(uint8_t *)message->body, message->body_len}};
    bindings_string_t lent_topic = lend_text(topic), given;
    hostel_handler_publisher_publish_error_t error;
    if (!hostel_handler_publisher_publish(&lent_topic, &lent, &given, &error))
        return not_published(&error);
    const char *adopted = adopt_text(given);
    if (id)
        *id = adopted;
    return HOSTEL_OK;
}

hostel_status hostel_config(const char *key, const char **value) {
    bindings_string_t lent = lend_text(key);
    bindings_option_string_t given;
    wasi_config_store_error_t error;
    *value = NULL;
    if (!wasi_config_store_get(&lent, &given, &error))
        return hostel_delivery_failed(HOSTEL_FAILED, adopt_text(error.val.upstream), 0);
    if (!given.is_some)
        return hostel_delivery_not_set(key);
    *value = adopt_text(given.val);
    return HOSTEL_OK;
}

void hostel_log(hostel_level level, const char *context, const char *text) {
    bindings_string_t lent_context = lend_text(context), lent_text = lend_text(text);
    wasi_logging_logging_log((wasi_logging_logging_level_t)level, &lent_context, &lent_text);
}

/* ---- Buckets --------------------------------------------------------------------------------------------------------- */

static wasi_keyvalue_store_borrow_bucket_t borrow(hostel_bucket bucket) {
    wasi_keyvalue_store_borrow_bucket_t borrowed = {bucket.handle};
    return borrowed;
}

static hostel_status stored(bool ok, const wasi_keyvalue_store_error_t *error) {
    if (ok)
        return HOSTEL_OK;
    switch (error->tag) {
    case WASI_KEYVALUE_STORE_ERROR_NO_SUCH_STORE:
        return hostel_delivery_failed(HOSTEL_NO_SUCH_BUCKET, "there is no such bucket", 0);
    case WASI_KEYVALUE_STORE_ERROR_ACCESS_DENIED:
        return hostel_delivery_failed(HOSTEL_DENIED, "the bucket is denied to this handler", 0);
    default:
        return hostel_delivery_failed(HOSTEL_FAILED, adopt_text(error->val.other), 0);
    }
}

hostel_status hostel_bucket_open(const char *name, hostel_bucket *bucket) {
    bindings_string_t lent = lend_text(name);
    wasi_keyvalue_store_own_bucket_t opened = {0};
    wasi_keyvalue_store_error_t error;
    hostel_status status = stored(wasi_keyvalue_store_open(&lent, &opened, &error), &error);
    bucket->handle = opened.__handle;
    return status;
}

hostel_status hostel_bucket_get(hostel_bucket bucket, const char *key, hostel_bytes *value) {
    bindings_string_t lent = lend_text(key);
    bindings_option_list_u8_t given = {false, {NULL, 0}};
    wasi_keyvalue_store_error_t error;
    bool ok = wasi_keyvalue_store_method_bucket_get(borrow(bucket), &lent, &given, &error);
    value->data = NULL;
    value->len = 0;
    if (ok && given.is_some)
        *value = adopt_bytes(given.val);
    return stored(ok, &error);
}

hostel_status hostel_bucket_set(hostel_bucket bucket, const char *key, const void *value, size_t len) {
    bindings_string_t lent = lend_text(key);
    bindings_list_u8_t lent_value = {(uint8_t *)value, len};
    wasi_keyvalue_store_error_t error;
    return stored(wasi_keyvalue_store_method_bucket_set(borrow(bucket), &lent, &lent_value, &error), &error);
}

hostel_status hostel_bucket_delete(hostel_bucket bucket, const char *key) {
    bindings_string_t lent = lend_text(key);
    wasi_keyvalue_store_error_t error;
    return stored(wasi_keyvalue_store_method_bucket_delete(borrow(bucket), &lent, &error), &error);
}

hostel_status hostel_bucket_exists(hostel_bucket bucket, const char *key, bool *exists) {
    bindings_string_t lent = lend_text(key);
    wasi_keyvalue_store_error_t error;
    return stored(wasi_keyvalue_store_method_bucket_exists(borrow(bucket), &lent, exists, &error), &error);
}

hostel_status hostel_bucket_increment(hostel_bucket bucket, const char *key, uint64_t delta, uint64_t *sum) {
    bindings_string_t lent = lend_text(key);
    wasi_keyvalue_store_error_t error;
    return stored(wasi_keyvalue_atomics_increment(borrow(bucket), &lent, delta, sum, &error), &error);
}

hostel_status hostel_bucket_keys(hostel_bucket bucket, const char *const **keys, size_t *count) {
    const char **all = NULL;
    size_t total = 0;
    uint64_t from = 0, *cursor = NULL;
    for (;;) {
        wasi_keyvalue_store_key_response_t page;
        wasi_keyvalue_store_error_t error;
        if (!wasi_keyvalue_store_method_bucket_list_keys(borrow(bucket), cursor, &page, &error)) {
            free(all);
            return stored(false, &error);
        }
        all = (const char **)realloc(all, (total + page.keys.len + 1) * sizeof *all);
        if (!all)
            abort();
        for (size_t i = 0; i < page.keys.len; i++)
            all[total++] = adopt_text(page.keys.ptr[i]);
        if (page.keys.len)
            free(page.keys.ptr);
        if (!page.cursor.is_some)
            break;
        from = page.cursor.val;
        cursor = &from;
    }
    *keys = (const char *const *)hostel_delivery_adopt(all);
    *count = total;
    return HOSTEL_OK;
}

void hostel_bucket_close(hostel_bucket bucket) {
    wasi_keyvalue_store_own_bucket_t own = {bucket.handle};
    wasi_keyvalue_store_bucket_drop_own(own);
}

/* ---- HTTP requests --------------------------------------------------------------------------------------------------- */

/* By hand over the canonical ABI: the generated bindings of wasi:http are five times all others together. A result that is
 * no single number goes where the last argument points. The tool that makes the component compares the type of each with
 * the contract. */
#define HTTP "wasi:http/types@0.2.12"
#define STREAMS "wasi:io/streams@0.2.12"
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

/* A text or bytes: address and length. */
typedef struct {
    uint8_t *data;
    size_t len;
} span;

typedef struct {
    span name, value;
} field;

IMPORT(HTTP, "[static]fields.from-list") extern void fields_from_list(const field *list, size_t count, void *result);
IMPORT(HTTP, "[method]fields.entries") extern void fields_entries(int32_t fields, void *result);
IMPORT(HTTP, "[resource-drop]fields") extern void fields_drop(int32_t fields);
IMPORT(HTTP, "[constructor]outgoing-request") extern int32_t request_new(int32_t fields);
IMPORT(HTTP, "[method]outgoing-request.set-method")
extern int32_t request_set_method(int32_t request, int32_t method, const char *other, size_t len);
IMPORT(HTTP, "[method]outgoing-request.set-scheme")
extern int32_t request_set_scheme(int32_t request, int32_t is_some, int32_t scheme, const char *other, size_t len);
IMPORT(HTTP, "[method]outgoing-request.set-authority")
extern int32_t request_set_authority(int32_t request, int32_t is_some, const char *text, size_t len);
IMPORT(HTTP, "[method]outgoing-request.set-path-with-query")
extern int32_t request_set_path(int32_t request, int32_t is_some, const char *text, size_t len);
IMPORT(HTTP, "[method]outgoing-request.body") extern void request_body(int32_t request, void *result);
IMPORT(HTTP, "[resource-drop]outgoing-request") extern void request_drop(int32_t request);
IMPORT("wasi:http/outgoing-handler@0.2.12", "handle")
extern void request_send(int32_t request, int32_t has_options, int32_t options, void *result);
IMPORT(HTTP, "[method]outgoing-body.write") extern void outgoing_write(int32_t body, void *result);
IMPORT(HTTP, "[static]outgoing-body.finish")
extern void outgoing_finish(int32_t body, int32_t has_trailers, int32_t trailers, void *result);
IMPORT(HTTP, "[resource-drop]outgoing-body") extern void outgoing_drop(int32_t body);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush")
extern void output_write(int32_t stream, const uint8_t *data, size_t len, void *result);
IMPORT(STREAMS, "[resource-drop]output-stream") extern void output_drop(int32_t stream);
IMPORT(HTTP, "[method]future-incoming-response.subscribe") extern int32_t future_subscribe(int32_t future);
IMPORT(HTTP, "[method]future-incoming-response.get") extern void future_get(int32_t future, void *result);
IMPORT(HTTP, "[resource-drop]future-incoming-response") extern void future_drop(int32_t future);
IMPORT("wasi:io/poll@0.2.12", "[method]pollable.block") extern void pollable_block(int32_t pollable);
IMPORT("wasi:io/poll@0.2.12", "[resource-drop]pollable") extern void pollable_drop(int32_t pollable);
IMPORT(HTTP, "[method]incoming-response.status") extern int32_t response_status(int32_t response);
IMPORT(HTTP, "[method]incoming-response.headers") extern int32_t response_headers(int32_t response);
IMPORT(HTTP, "[method]incoming-response.consume") extern void response_consume(int32_t response, void *result);
IMPORT(HTTP, "[resource-drop]incoming-response") extern void response_drop(int32_t response);
IMPORT(HTTP, "[method]incoming-body.stream") extern void incoming_stream(int32_t body, void *result);
IMPORT(HTTP, "[resource-drop]incoming-body") extern void incoming_drop(int32_t body);
IMPORT(STREAMS, "[method]input-stream.blocking-read") extern void input_read(int32_t stream, uint64_t len, void *result);
IMPORT(STREAMS, "[resource-drop]input-stream") extern void input_drop(int32_t stream);
IMPORT("wasi:io/error@0.2.12", "[resource-drop]error") extern void error_drop(int32_t error);

/* Bytes that `blocking-write-and-flush` takes at once, and those that are asked for at once. */
#define CHUNK 4096
#define READ 65536

/* A result<handle>, and one with a stream-error or a list of bytes. */
typedef struct {
    uint8_t is_err;
    union {
        int32_t handle;
        span bytes;
        struct {
            uint8_t is_closed;
            int32_t error;
        } stream;
    } val;
} result;

/* The contract's error-code: its cases, in order, and of what they carry the text of the last. */
typedef struct {
    _Alignas(8) uint8_t code;
    _Alignas(8) uint8_t has_text;
    span text;
    uint8_t rest[8];
} error_code;

typedef struct {
    uint8_t is_err;
    union {
        int32_t handle;
        error_code code;
    } val;
} coded;

/* option<result<result<handle, error-code>>>. */
typedef struct {
    _Alignas(8) uint8_t is_some;
    _Alignas(8) uint8_t is_taken;
    coded answer;
} answered;

_Static_assert(sizeof(error_code) == 32 && sizeof(coded) == 40 && sizeof(answered) == 56, "as the contract lays them out");

static const char *const codes[] = {
    "DNS-timeout", "DNS-error", "destination-not-found", "destination-unavailable", "destination-IP-prohibited",
    "destination-IP-unroutable", "connection-refused", "connection-terminated", "connection-timeout",
    "connection-read-timeout", "connection-write-timeout", "connection-limit-reached", "TLS-protocol-error",
    "TLS-certificate-error", "TLS-alert-received", "HTTP-request-denied", "HTTP-request-length-required",
    "HTTP-request-body-size", "HTTP-request-method-invalid", "HTTP-request-URI-invalid", "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size", "HTTP-request-header-size", "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size", "HTTP-response-incomplete", "HTTP-response-header-section-size",
    "HTTP-response-header-size", "HTTP-response-body-size", "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size", "HTTP-response-transfer-coding", "HTTP-response-content-coding",
    "HTTP-response-timeout", "HTTP-upgrade-failed", "HTTP-protocol-error", "loop-detected", "configuration-error",
    "internal-error",
};
enum { IP_PROHIBITED = 4, REQUEST_DENIED = 15, METHOD_INVALID = 18, URI_INVALID = 19, INTERNAL_ERROR = 38 };

static hostel_status http_failed(const char *why) {
    return hostel_delivery_failed(HOSTEL_FAILED, hostel_text("the request failed: %s", why), 0);
}

static hostel_status http_invalid(const char *what) {
    return hostel_delivery_failed(
        HOSTEL_INVALID, hostel_text("the request was refused: %s is malformed or may not be given", what), 0);
}

static hostel_status http_refused(const char *url, const error_code *error) {
    switch (error->code) {
    case REQUEST_DENIED:
    case IP_PROHIBITED:
        return hostel_delivery_failed(
            HOSTEL_DENIED, hostel_text("a request to `%s` was denied: add its server to `http` in handler.toml", url),
            0);
    case METHOD_INVALID:
    case URI_INVALID:
        return http_invalid(hostel_text("`%s` or its method", url));
    case INTERNAL_ERROR:
        if (error->has_text)
            return http_failed(hostel_text("%.*s", (int)error->text.len, (const char *)error->text.data));
        return http_failed(codes[INTERNAL_ERROR]);
    default:
        return http_failed(error->code < sizeof codes / sizeof *codes ? codes[error->code] : "for an unknown reason");
    }
}

static span lend_span(const char *text) {
    span lent = {(uint8_t *)text, strlen(text)};
    return lent;
}

static bool set_method(int32_t request, const char *method) {
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    int32_t other = sizeof known / sizeof *known;
    for (int32_t i = 0; i < other; i++) {
        if (strcmp(known[i], method) == 0)
            return request_set_method(request, i, NULL, 0) == 0;
    }
    return request_set_method(request, other, method, strlen(method)) == 0;
}

/* Scheme, authority, and path with query. */
static bool set_url(int32_t request, const char *url) {
    bool is_secure = strncmp(url, "https://", 8) == 0;
    if (!is_secure && strncmp(url, "http://", 7) != 0)
        return false;
    const char *authority = url + (is_secure ? 8 : 7);
    size_t authority_len = strcspn(authority, "/?#");
    const char *path = authority + authority_len;
    size_t path_len = strcspn(path, "#");
    if (path_len == 0) {
        path = "/";
        path_len = 1;
    }
    return request_set_scheme(request, 1, is_secure, NULL, 0) == 0 &&
           request_set_authority(request, 1, authority, authority_len) == 0 &&
           request_set_path(request, 1, path, path_len) == 0;
}

/* The request as the host knows it, or a negative number after saying why there is none. */
static int32_t make_request(const hostel_http_request *request) {
    field *fields = (field *)hostel_alloc((request->header_count + 1) * sizeof *fields);
    size_t count = request->header_count;
    for (size_t i = 0; i < count; i++) {
        fields[i].name = lend_span(request->headers[i].name);
        fields[i].value = lend_span(request->headers[i].value);
    }
    if (request->body_len) {
        fields[count].name = lend_span("content-length");
        fields[count++].value = lend_span(hostel_text("%zu", request->body_len));
    }
    result made;
    fields_from_list(fields, count, &made);
    if (made.is_err) {
        http_invalid("a header");
        return -1;
    }
    int32_t outgoing = request_new(made.val.handle);
    const char *wrong = !set_method(outgoing, request->method ? request->method : "GET") ? "the method"
                        : !set_url(outgoing, request->url) ? hostel_text("the URL `%s`", request->url) : NULL;
    if (!wrong)
        return outgoing;
    request_drop(outgoing);
    http_invalid(wrong);
    return -1;
}

/* Whether the body was taken. */
static bool write_body(int32_t body, const uint8_t *bytes, size_t len) {
    result stream, written = {0};
    outgoing_write(body, &stream);
    if (stream.is_err) {
        outgoing_drop(body);
        return false;
    }
    for (size_t at = 0; at < len && !written.is_err; at += CHUNK)
        output_write(stream.val.handle, bytes + at, len - at < CHUNK ? len - at : CHUNK, &written);
    if (written.is_err && !written.val.stream.is_closed)
        error_drop(written.val.stream.error);
    output_drop(stream.val.handle);
    if (written.is_err) {
        outgoing_drop(body);
        return false;
    }
    coded finished;
    outgoing_finish(body, 0, 0, &finished);
    return !finished.is_err;
}

static void read_headers(int32_t answer, hostel_http_response *response) {
    struct {
        field *list;
        size_t count;
    } entries;
    int32_t fields = response_headers(answer);
    fields_entries(fields, &entries);
    fields_drop(fields);
    hostel_header *headers = (hostel_header *)hostel_alloc(entries.count * sizeof *headers);
    for (size_t i = 0; i < entries.count; i++) {
        bindings_string_t name = {entries.list[i].name.data, entries.list[i].name.len};
        bindings_string_t value = {entries.list[i].value.data, entries.list[i].value.len};
        headers[i].name = adopt_text(name);
        headers[i].value = adopt_text(value);
    }
    if (entries.count)
        free(entries.list);
    response->headers = headers;
    response->header_count = entries.count;
}

/* The whole body; false if it broke off. */
static bool read_body(int32_t answer, hostel_bytes *whole) {
    result body, stream, piece;
    response_consume(answer, &body);
    if (body.is_err)
        return false;
    incoming_stream(body.val.handle, &stream);
    if (stream.is_err) {
        incoming_drop(body.val.handle);
        return false;
    }
    uint8_t *bytes = NULL;
    size_t len = 0;
    for (;;) {
        input_read(stream.val.handle, READ, &piece);
        if (piece.is_err)
            break;
        if (piece.val.bytes.len == 0)
            continue;
        bytes = (uint8_t *)realloc(bytes, len + piece.val.bytes.len);
        if (!bytes)
            abort();
        memcpy(bytes + len, piece.val.bytes.data, piece.val.bytes.len);
        len += piece.val.bytes.len;
        free(piece.val.bytes.data);
    }
    bool is_whole = piece.val.stream.is_closed;
    if (!is_whole)
        error_drop(piece.val.stream.error);
    input_drop(stream.val.handle);
    incoming_drop(body.val.handle);
    whole->data = bytes ? (const uint8_t *)hostel_delivery_adopt(bytes) : (const uint8_t *)"";
    whole->len = len;
    return is_whole;
}

hostel_status hostel_http_send(const hostel_http_request *request, hostel_http_response *response) {
    memset(response, 0, sizeof *response);
    int32_t outgoing = make_request(request);
    if (outgoing < 0)
        return HOSTEL_INVALID;
    result body;
    request_body(outgoing, &body);
    if (body.is_err) {
        request_drop(outgoing);
        return http_invalid("the body");
    }
    coded sent;
    request_send(outgoing, 0, 0, &sent);
    if (sent.is_err) {
        outgoing_drop(body.val.handle);
        return http_refused(request->url, &sent.val.code);
    }
    bool is_taken = write_body(body.val.handle, (const uint8_t *)request->body, request->body_len);
    int32_t pollable = future_subscribe(sent.val.handle);
    pollable_block(pollable);
    pollable_drop(pollable);
    answered given;
    future_get(sent.val.handle, &given);
    future_drop(sent.val.handle);
    /* What went wrong with the request says more than that its body was not wanted. */
    if (!given.is_some || given.is_taken)
        return http_failed("the host gave no answer");
    if (given.answer.is_err)
        return http_refused(request->url, &given.answer.val.code);
    int32_t answer = given.answer.val.handle;
    response->status = (uint16_t)response_status(answer);
    read_headers(answer, response);
    bool is_whole = read_body(answer, &response->body);
    response_drop(answer);
    if (!is_taken)
        return http_failed("the body was not taken");
    return is_whole ? HOSTEL_OK : http_failed("the answer broke off");
}
