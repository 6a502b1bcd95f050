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
