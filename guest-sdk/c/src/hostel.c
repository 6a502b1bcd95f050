/* The part of the SDK that is the same in a component and in a test: memory, reasons, formatted texts. */

#include "delivery.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    void **memory;
    size_t count, room;
    const char *reason;
    int64_t after_ms;
    hostel_status status;
    const char *error;
    uint64_t number;
} delivery = {.after_ms = HOSTEL_BACKOFF};

void *hostel_delivery_adopt(void *memory) {
    if (delivery.count == delivery.room) {
        delivery.room = delivery.room ? 2 * delivery.room : 16;
        delivery.memory = (void **)realloc(delivery.memory, delivery.room * sizeof *delivery.memory);
        if (!delivery.memory)
            abort();
    }
    return delivery.memory[delivery.count++] = memory;
}

void *hostel_alloc(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (!memory) {
        hostel_log(HOSTEL_LOG_ERROR, __func__, "out of memory");
        abort();
    }
    return hostel_delivery_adopt(memory);
}

const char *hostel_delivery_copy(const char *text, size_t len) {
    char *copy = (char *)hostel_alloc(len + 1);
    if (len)
        memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

hostel_status hostel_delivery_failed(hostel_status status, const char *text, uint64_t number) {
    delivery.status = status;
    delivery.error = text;
    delivery.number = number;
    return status;
}

hostel_status hostel_delivery_not_set(const char *key) {
    const char *text =
        hostel_text("config key `%s` is not set; set it under `[config]` in the handler's manifest", key);
    return hostel_delivery_failed(HOSTEL_NOT_SET, text, 0);
}

const char *hostel_delivery_reason(int64_t *after_ms) {
    *after_ms = delivery.after_ms;
    return delivery.reason ? delivery.reason : "the handler gave no reason";
}

void hostel_delivery_end(void) {
    for (size_t i = 0; i < delivery.count; i++)
        free(delivery.memory[i]);
    delivery.count = 0;
    delivery.reason = delivery.error = NULL;
    delivery.after_ms = HOSTEL_BACKOFF;
    delivery.status = HOSTEL_OK;
    delivery.number = 0;
}

hostel_outcome hostel_retry(const char *reason, int64_t after_ms) {
    delivery.reason = hostel_delivery_copy(reason, strlen(reason));
    delivery.after_ms = after_ms < 0 ? HOSTEL_BACKOFF : after_ms;
    return HOSTEL_RETRY;
}

hostel_outcome hostel_reject(const char *reason) {
    delivery.reason = hostel_delivery_copy(reason, strlen(reason));
    return HOSTEL_REJECT;
}

const char *hostel_error(void) { return delivery.error ? delivery.error : ""; }

uint64_t hostel_error_number(void) { return delivery.number; }

hostel_outcome hostel_fail(void) {
    switch (delivery.status) {
    case HOSTEL_OK:
        return hostel_retry("the handler gave up, though no call to the host had failed", HOSTEL_BACKOFF);
    case HOSTEL_DENIED:
    case HOSTEL_INVALID:
    case HOSTEL_TOO_LARGE:
        return hostel_reject(hostel_error());
    case HOSTEL_OVERLOADED:
        return hostel_retry(hostel_error(), (int64_t)(delivery.number > INT64_MAX ? INT64_MAX : delivery.number));
    default:
        return hostel_retry(hostel_error(), HOSTEL_BACKOFF);
    }
}

static char *format(const char *pattern, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, pattern, arguments);
    size_t size = length < 0 ? 0 : (size_t)length;
    char *text = (char *)hostel_alloc(size + 1);
    text[0] = 0;
    vsnprintf(text, size + 1, pattern, again);
    va_end(again);
    return text;
}

const char *hostel_text(const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    char *text = format(pattern, arguments);
    va_end(arguments);
    return text;
}

void hostel_logf(hostel_level level, const char *context, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    hostel_log(level, context, format(pattern, arguments));
    va_end(arguments);
}
