/* The part of the SDK that is the same in a component and in a test: memory, reasons, formatted texts, CloudEvents. */

#include "delivery.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

const char *hostel_http_header(const hostel_http_response *response, const char *name) {
    for (size_t i = 0; i < response->header_count; i++) {
        if (strcasecmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    }
    return NULL;
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

/* ---- CloudEvents: the binary mode of their HTTP binding ------------------------------------------------------------ */

static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c); }

static bool same_name(const char *one, const char *other) {
    while (*one && lower(*one) == lower(*other)) {
        one++;
        other++;
    }
    return *one == *other;
}

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

/* How many bytes the character at `text` has; 0 if it is not UTF-8. A NUL is a character. */
static size_t character(const unsigned char *text, size_t len) {
    unsigned char first = text[0];
    size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (size > len)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, half of a surrogate pair, beyond the last plane. */
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
        (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
        return 0;
    return size;
}

/* Out of its quotes if it has some, then percent-decoded, once; NULL if it is malformed. */
static const char *decode(const char *value) {
    char *plain = (char *)hostel_alloc(strlen(value) + 1), *end = plain;
    if (value[0] == '"') {
        for (value++; *value != '"'; *end++ = *value++)
            if (!*value || (*value == '\\' && !*++value))
                return NULL;
        if (value[1])
            return NULL;
    } else {
        while (*value)
            *end++ = *value++;
    }
    *end = 0;
    char *text = plain;
    for (const char *from = plain; *from;) {
        if (*from != '%') {
            *text++ = *from++;
            continue;
        }
        int high = digit(from[1]), low = high < 0 ? -1 : digit(from[2]);
        /* A NUL would end the text; no attribute may have one. */
        if (low < 0 || (high == 0 && low == 0))
            return NULL;
        *text++ = (char)(high * 16 + low);
        from += 3;
    }
    *text = 0;
    for (size_t at = 0, len = (size_t)(text - plain), size; at < len; at += size)
        if ((size = character((const unsigned char *)plain + at, len - at)) == 0)
            return NULL;
    return plain;
}

/* As the HTTP binding says, section "HTTP Header Values". */
static const char *encode(const char *value) {
    char *text = (char *)hostel_alloc(3 * strlen(value) + 1), *end = text;
    for (; *value; value++) {
        unsigned char byte = (unsigned char)*value;
        if (byte > ' ' && byte < 0x7f && byte != '"' && byte != '%') {
            *end++ = *value;
        } else {
            *end++ = '%';
            *end++ = "0123456789ABCDEF"[byte >> 4];
            *end++ = "0123456789ABCDEF"[byte & 15];
        }
    }
    *end = 0;
    return text;
}

static hostel_status invalid(const char *text) { return hostel_delivery_failed(HOSTEL_INVALID, text, 0); }

enum { KNOWN = 7 };
static const char *const known[KNOWN] = {"id", "source", "type", "subject", "time", "dataschema", "datacontenttype"};

/* Where the event keeps the attribute of known[at]. */
static const char **place(hostel_cloud_event *event, int at) {
    const char **places[KNOWN] = {&event->id,   &event->source,     &event->type,           &event->subject,
                                  &event->time, &event->dataschema, &event->datacontenttype};
    return places[at];
}

static bool is_extension(const char *name) {
    for (int at = 0; at < KNOWN; at++)
        if (strcmp(name, known[at]) == 0)
            return false;
    return *name && strcmp(name, "specversion") != 0 && strcmp(name, "data") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(name);
}

static hostel_status check(hostel_cloud_event *event) {
    for (int at = 0; at < 3; at++)
        if (!*place(event, at) || !**place(event, at))
            return invalid(hostel_text("attribute `%s` is missing", known[at]));
    for (size_t i = 0; i < event->extension_count; i++)
        if (!is_extension(event->extensions[i].name))
            return invalid(hostel_text("an extension cannot be called `%s`; names are of a-z and 0-9",
                                       event->extensions[i].name));
    return HOSTEL_OK;
}

hostel_status hostel_event_cloud_event(const hostel_event *event, hostel_cloud_event *cloud_event) {
    const hostel_header *headers;
    size_t count = hostel_event_headers(event, &headers);
    hostel_header *extensions = (hostel_header *)hostel_alloc((count + 1) * sizeof *extensions);
    const char *version = NULL;
    memset(cloud_event, 0, sizeof *cloud_event);
    cloud_event->extensions = extensions;
    for (size_t i = 0; i < count; i++) {
        const char *header = headers[i].name;
        if (same_name(header, "content-type"))
            cloud_event->datacontenttype = headers[i].value;
        if (lower(header[0]) != 'c' || lower(header[1]) != 'e' || header[2] != '-')
            continue;
        size_t length = strlen(header + 3);
        char *name = (char *)hostel_alloc(length + 1);
        for (size_t at = 0; at <= length; at++)
            name[at] = lower(header[3 + at]);
        const char *value = decode(headers[i].value);
        if (!value)
            return invalid(hostel_text("the value of attribute `%s` is malformed", name));
        int at = 0;
        while (at < KNOWN - 1 && strcmp(name, known[at]) != 0)
            at++;
        if (strcmp(name, "specversion") == 0) {
            version = value;
        } else if (at < KNOWN - 1) {
            *place(cloud_event, at) = value;
        } else {
            extensions[cloud_event->extension_count].name = name;
            extensions[cloud_event->extension_count++].value = value;
        }
    }
    if (!version)
        return invalid("the event is no CloudEvent: it has no header `ce-specversion`");
    if (strcmp(version, "1.0") != 0)
        return invalid("the value of attribute `specversion` is malformed");
    hostel_status status = check(cloud_event);
    if (status == HOSTEL_OK) {
        hostel_bytes body = hostel_event_body(event);
        cloud_event->data = body.data;
        cloud_event->data_len = body.len;
    }
    return status;
}

const char *hostel_cloud_event_extension(const hostel_cloud_event *cloud_event, const char *name) {
    for (size_t i = 0; i < cloud_event->extension_count; i++)
        if (strcmp(cloud_event->extensions[i].name, name) == 0)
            return cloud_event->extensions[i].value;
    return NULL;
}

hostel_status hostel_publish_cloud_event(const char *topic, const hostel_cloud_event *cloud_event, const char **id) {
    hostel_cloud_event event = *cloud_event;
    hostel_status status = check(&event);
    if (status != HOSTEL_OK)
        return status;
    size_t count = 0;
    hostel_header *headers = (hostel_header *)hostel_alloc((1 + KNOWN + event.extension_count) * sizeof *headers);
    headers[count].name = "ce-specversion";
    headers[count++].value = "1.0";
    for (int at = 0; at < KNOWN - 1; at++) {
        if (!*place(&event, at))
            continue;
        headers[count].name = hostel_text("ce-%s", known[at]);
        headers[count++].value = encode(*place(&event, at));
    }
    for (size_t i = 0; i < event.extension_count; i++) {
        headers[count].name = hostel_text("ce-%s", event.extensions[i].name);
        headers[count++].value = encode(event.extensions[i].value);
    }
    if (event.datacontenttype) {
        headers[count].name = "Content-Type";
        headers[count++].value = event.datacontenttype;
    }
    hostel_message message;
    memset(&message, 0, sizeof message);
    message.headers = headers;
    message.header_count = count;
    message.body = event.data;
    message.body_len = event.data_len;
    return hostel_publish(topic, &message, id);
}
