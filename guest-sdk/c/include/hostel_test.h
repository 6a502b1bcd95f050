/* A test double of the host: runs a handler natively and tells what it did.
 *
 *     #include <hostel_test.h>
 *
 *     int main(void) {
 *         hostel_test_event event = {.topic = "orders.created", .body = "7", .body_len = 1};
 *         hostel_test_run run = hostel_test(&event);
 *         assert(run.outcome == HOSTEL_ACK);
 *         assert(strcmp(run.published[0].topic, "orders.packed") == 0);
 *     }
 *
 * Compile the handler, hostel.c, hostel_test.c and the test for the machine you sit at; HOSTEL_HANDLER in the handler's
 * file names what is run. The double refuses a malformed topic or header as the host does, and takes every topic unless
 * told otherwise. Deadlines and memory limits hold in the host only. What a run holds stays until the next one. */
#ifndef HOSTEL_TEST_H
#define HOSTEL_TEST_H

#include "hostel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hostel_test_event {
    const char *id; /* NULL: 00000000-0000-7000-8000-000000000001. */
    const char *topic;
    uint32_t attempt; /* 0: the first. */
    uint64_t published_at_ms;
    const hostel_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    const char *last_error; /* NULL in the first attempt. */
} hostel_test_event;

typedef struct hostel_test_published {
    const char *id; /* The one that the handler gave, or published-1, published-2 and so on. */
    const char *topic;
    const hostel_header *headers;
    size_t header_count;
    hostel_bytes body; /* A NUL follows it. */
} hostel_test_published;

typedef struct hostel_test_request {
    const char *method;
    const char *url;
    const hostel_header *headers;
    size_t header_count;
    hostel_bytes body; /* A NUL follows it. */
} hostel_test_request;

typedef struct hostel_test_line {
    hostel_level level;
    const char *context;
    const char *text;
} hostel_test_line;

typedef struct hostel_test_run {
    hostel_outcome outcome;
    const char *reason; /* NULL if the event was acknowledged. */
    int64_t after_ms;   /* HOSTEL_BACKOFF unless the handler asked for a time. */
    const hostel_test_published *published;
    size_t published_count;
    const hostel_test_line *logs;
    size_t log_count;
    const hostel_test_request *requests; /* Also those that were denied. */
    size_t request_count;
    bool acked;           /* Before the handler returned. */
    uint64_t extended_ms; /* The last time to which it moved its deadline; 0 if it did not. */
} hostel_test_run;

/* Runs the handler for one event. */
hostel_test_run hostel_test(const hostel_test_event *event);
/* Runs what HOSTEL_INIT names. */
hostel_test_run hostel_test_init(void);

/* The rules of the double. They hold until hostel_test_reset. Texts are not copied. */
void hostel_test_config(const char *key, const char *value);
/* Publishing on the topic fails with this status: HOSTEL_DENIED, and so on. */
void hostel_test_refuse(const char *topic, hostel_status status, uint64_t number);
/* A bucket that can be opened, empty. */
void hostel_test_bucket(const char *name);
/* A request to this URL gets this answer, which is not copied; to any other it is denied. */
void hostel_test_respond(const char *url, const hostel_http_response *response);
/* Forgets the rules, the buckets and the last run. */
void hostel_test_reset(void);

/* The value of the first header of this name, whatever its case; NULL if there is none. */
const char *hostel_test_header(const hostel_test_published *published, const char *name);

#ifdef __cplusplus
}
#endif

#endif
