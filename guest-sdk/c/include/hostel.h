/* Write event handlers for Hostel in C, C++ or any language that can call C.
 *
 * A handler is a function that the host calls once for each delivery of an event, in a sandbox of its own. What it
 * returns settles the event.
 *
 *     #include <hostel.h>
 *
 *     static hostel_outcome handle(const hostel_event *event) {
 *         hostel_bytes body = hostel_event_body(event);
 *         if (body.len == 0)
 *             return hostel_reject("the body is empty");
 *         hostel_message message = {.body = body.data, .body_len = body.len};
 *         if (hostel_publish("orders.packed", &message, NULL) != HOSTEL_OK)
 *             return hostel_fail();
 *         hostel_info("packed %zu bytes", body.len);
 *         return HOSTEL_ACK;
 *     }
 *
 *     HOSTEL_HANDLER(handle)
 *
 * Who owns what: everything that a function here returns, by value or by pointer, belongs to the delivery. It stays as
 * it is until the handler returns and is freed then; never free it, never keep it. What is passed in is read during the
 * call and stays the caller's. Texts are UTF-8 and end with a NUL.
 *
 * A handler that traps (abort, a failed assert, a division by zero) has the event attempted again, and the dead letter
 * has the stack trace. What is printed to stdout and stderr becomes log lines. */
#ifndef HOSTEL_H
#define HOSTEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What a handler returns ------------------------------------------------------------------------------------- */

typedef enum hostel_outcome {
    HOSTEL_ACK = 0, /* The event is handled. */
    HOSTEL_RETRY,   /* It may go better later. Made by hostel_retry. */
    HOSTEL_REJECT   /* It will never go better: a dead letter at once. Made by hostel_reject. */
} hostel_outcome;

/* Leaves the time until the next attempt to the subscription's backoff. */
#define HOSTEL_BACKOFF (-1)

/* `return hostel_retry("the shop is closed", 60000);`: attempted again after so many milliseconds, or HOSTEL_BACKOFF.
 * The host caps the time at 24 hours and keeps the first 4,096 bytes of the reason. */
hostel_outcome hostel_retry(const char *reason, int64_t after_ms);

/* `return hostel_reject("no such course");`: a dead letter at once. */
hostel_outcome hostel_reject(const char *reason);

/* The event being delivered. */
typedef struct hostel_event hostel_event;

/* Names the handler of a component: once, outside any function. */
#define HOSTEL_HANDLER(function)                                                                                       \
    HOSTEL_C_LINKAGE hostel_outcome hostel_handler(const hostel_event *event) { return (function)(event); }

/* Names what prepares a handler: a function without arguments that returns a hostel_outcome. The host calls it once for
 * each version before the first event; anything but HOSTEL_ACK refuses the deployment. Each event has a fresh instance
 * by default, so what it leaves in memory is gone by then: use it to check config. */
#ifdef __wasm__
#define HOSTEL_INIT(function)                                                                                          \
    HOSTEL_C_LINKAGE __attribute__((export_name("hostel:handler/lifecycle@0.1.0#init"))) const void *                  \
    hostel_export_init(void) {                                                                                         \
        return hostel_returned_init((function)());                                                                     \
    }
#else
#define HOSTEL_INIT(function)                                                                                          \
    HOSTEL_C_LINKAGE hostel_outcome hostel_init(void) { return (function)(); }
#endif

#ifdef __cplusplus
#define HOSTEL_C_LINKAGE extern "C"
#else
#define HOSTEL_C_LINKAGE
#endif

/* ---- The event ---------------------------------------------------------------------------------------------------- */

typedef struct hostel_bytes {
    const uint8_t *data;
    size_t len;
} hostel_bytes;

typedef struct hostel_header {
    const char *name;
    const char *value;
} hostel_header;

/* A UUIDv7 unless its publisher gave another. The same in every attempt. */
const char *hostel_event_id(const hostel_event *event);
const char *hostel_event_topic(const hostel_event *event);
/* Counted from 1. */
uint32_t hostel_event_attempt(const hostel_event *event);
/* Milliseconds since the Unix epoch. */
uint64_t hostel_event_published_at_ms(const hostel_event *event);
/* All headers in order; returns how many. Names may repeat. */
size_t hostel_event_headers(const hostel_event *event, const hostel_header **headers);
/* The value of the first header of this name, whatever its case; NULL if there is none. */
const char *hostel_event_header(const hostel_event *event, const char *name);
/* Copied into the handler's memory by each call: call it once. No NUL follows it. */
hostel_bytes hostel_event_body(const hostel_event *event);
/* Why the last attempt failed; NULL in the first. */
const char *hostel_event_last_error(const hostel_event *event);

/* ---- Calls that can fail ------------------------------------------------------------------------------------------ */

typedef enum hostel_status {
    HOSTEL_OK = 0,
    HOSTEL_DENIED,          /* The handler may not; the text names the line of the manifest that would allow it. */
    HOSTEL_INVALID,         /* A topic or a header is malformed. */
    HOSTEL_TOO_LARGE,       /* hostel_error_number: the most bytes that a message may have. */
    HOSTEL_OVERLOADED,      /* hostel_error_number: milliseconds after which to try again. */
    HOSTEL_FAILED,          /* The host or its broker failed. */
    HOSTEL_NOT_SET,         /* The config key is not set. */
    HOSTEL_ALREADY_SETTLED, /* By an earlier hostel_event_ack. */
    HOSTEL_TOO_LONG,        /* hostel_error_number: milliseconds that are left to ask for. */
    HOSTEL_NO_SUCH_BUCKET
} hostel_status;

/* About the last call that failed. */
const char *hostel_error(void);
uint64_t hostel_error_number(void);

/* `return hostel_fail();`: what fits the last call that failed. Denied, invalid and too large reject; anything else is a
 * retry, after the host's time if it is overloaded. */
hostel_outcome hostel_fail(void);

/* Acknowledges the event now. From then on nothing makes it come again. */
hostel_status hostel_event_ack(const hostel_event *event);
/* Moves the deadline to so many milliseconds from now, if that is later than it was. */
hostel_status hostel_event_extend(const hostel_event *event, uint64_t ms);

typedef struct hostel_message {
    const hostel_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    /* Gives the new event its id; NULL leaves it to the host. Made from the id of the event being handled it is the
     * same when a retry publishes again. */
    const char *id;
} hostel_message;

/* Publishes on a topic of the handler's own tenant. `id` gets the new event's id and may be NULL. */
hostel_status hostel_publish(const char *topic, const hostel_message *message, const char **id);

/* ---- CloudEvents -------------------------------------------------------------------------------------------------- */

/* An event as CloudEvents 1.0 describes it. What it does not have is NULL. */
typedef struct hostel_cloud_event {
    const char *id;     /* What identifies the event among those of its source. */
    const char *source; /* Where it happened: a URI reference. */
    const char *type;   /* What kind of thing happened. */
    const char *subject;
    const char *time; /* RFC 3339. */
    const char *datacontenttype;
    const char *dataschema;
    /* All other attributes, by names of a-z and 0-9. Values are texts, whatever their type: `5`, `true`. */
    const hostel_header *extensions;
    size_t extension_count;
    const void *data;
    size_t data_len;
} hostel_cloud_event;

/* HOSTEL_INVALID if the event is no CloudEvent: `return hostel_fail();` rejects it then. */
hostel_status hostel_event_cloud_event(const hostel_event *event, hostel_cloud_event *cloud_event);
/* The value of an extension; NULL if there is none of this name. */
const char *hostel_cloud_event_extension(const hostel_cloud_event *cloud_event, const char *name);
/* Publishes with a header for each attribute. `id` gets the new event's id, which is not the CloudEvent's, and may be
 * NULL. HOSTEL_INVALID as well if an attribute is missing or an extension has no good name. */
hostel_status hostel_publish_cloud_event(const char *topic, const hostel_cloud_event *cloud_event, const char **id);

/* ---- Config ------------------------------------------------------------------------------------------------------- */

/* HOSTEL_NOT_SET if the key is neither under [config] of the manifest nor set by the operator. */
hostel_status hostel_config(const char *key, const char **value);

/* ---- Key-value buckets -------------------------------------------------------------------------------------------- */

typedef struct hostel_bucket {
    int32_t handle;
} hostel_bucket;

hostel_status hostel_bucket_open(const char *name, hostel_bucket *bucket);
/* `value.data` is NULL if the key has none. */
hostel_status hostel_bucket_get(hostel_bucket bucket, const char *key, hostel_bytes *value);
hostel_status hostel_bucket_set(hostel_bucket bucket, const char *key, const void *value, size_t len);
hostel_status hostel_bucket_delete(hostel_bucket bucket, const char *key);
hostel_status hostel_bucket_exists(hostel_bucket bucket, const char *key, bool *exists);
/* Atomic. A key that is not there counts as zero. */
hostel_status hostel_bucket_increment(hostel_bucket bucket, const char *key, uint64_t delta, uint64_t *sum);
/* All keys, in no order, asked for page by page: costly in a large bucket. */
hostel_status hostel_bucket_keys(hostel_bucket bucket, const char *const **keys, size_t *count);
/* Optional: the end of the instance does the same. */
void hostel_bucket_close(hostel_bucket bucket);

/* ---- HTTP requests -------------------------------------------------------------------------------------------------- */

typedef struct hostel_http_request {
    const char *method; /* NULL: GET. */
    const char *url;    /* Begins with http:// or https://. */
    const hostel_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
} hostel_http_request;

typedef struct hostel_http_response {
    uint16_t status;
    const hostel_header *headers;
    size_t header_count;
    hostel_bytes body;
} hostel_http_response;

/* Sends a request and waits for the whole answer; a status that stands for a failure is none. The manifest must name the
 * server: `http = ["https://api.example.com"]`. A request is sent when it is sent: another attempt sends it again.
 * HOSTEL_DENIED if the manifest does not allow it, HOSTEL_INVALID if the method, the URL or a header is malformed,
 * HOSTEL_FAILED if the server was not reached or did not answer as it should. */
hostel_status hostel_http_send(const hostel_http_request *request, hostel_http_response *response);
/* The value of the first header of this name, whatever its case; NULL if there is none. */
const char *hostel_http_header(const hostel_http_response *response, const char *name);

/* ---- Logs and memory ---------------------------------------------------------------------------------------------- */

typedef enum hostel_level {
    HOSTEL_LOG_TRACE = 0,
    HOSTEL_LOG_DEBUG,
    HOSTEL_LOG_INFO,
    HOSTEL_LOG_WARN,
    HOSTEL_LOG_ERROR
} hostel_level;

#if defined(__GNUC__) || defined(__clang__)
#define HOSTEL_PRINTF(pattern, arguments) __attribute__((format(printf, pattern, arguments)))
#else
#define HOSTEL_PRINTF(pattern, arguments)
#endif

/* `context` groups lines; the macros below give the function's name. */
void hostel_log(hostel_level level, const char *context, const char *text);
void hostel_logf(hostel_level level, const char *context, const char *pattern, ...) HOSTEL_PRINTF(3, 4);

#define hostel_trace(...) hostel_logf(HOSTEL_LOG_TRACE, __func__, __VA_ARGS__)
#define hostel_debug(...) hostel_logf(HOSTEL_LOG_DEBUG, __func__, __VA_ARGS__)
#define hostel_info(...) hostel_logf(HOSTEL_LOG_INFO, __func__, __VA_ARGS__)
#define hostel_warn(...) hostel_logf(HOSTEL_LOG_WARN, __func__, __VA_ARGS__)
#define hostel_err(...) hostel_logf(HOSTEL_LOG_ERROR, __func__, __VA_ARGS__)

/* Memory that belongs to the delivery. Traps when there is none left, which is a retry. */
void *hostel_alloc(size_t size);
/* A text that belongs to the delivery, such as a reason: `hostel_reject(hostel_text("no field `%s`", name))`. */
const char *hostel_text(const char *pattern, ...) HOSTEL_PRINTF(1, 2);

/* ---- For the macros above ----------------------------------------------------------------------------------------- */

hostel_outcome hostel_handler(const hostel_event *event);
#ifdef __wasm__
const void *hostel_export_init(void);
const void *hostel_returned_init(hostel_outcome outcome);
#else
hostel_outcome hostel_init(void);
#endif

#ifdef __cplusplus
}
#endif

#endif
