/* Takes a picture, shrinks it to the width that the config says, and publishes it on images.resized. A picture that is
 * narrower is published as it is. What is no picture is rejected. */

#include <hostel.h>

#include <stdio.h>
#include <stdlib.h>

#include "image.h"

#define RESIZED "images.resized"

/* The config key `width`; 0, with the outcome set, if it is unfit. */
static uint32_t wanted_width(hostel_outcome *outcome) {
    const char *text;
    if (hostel_config("width", &text) != HOSTEL_OK) {
        *outcome = hostel_fail();
        return 0;
    }
    char *end;
    unsigned long width = strtoul(text, &end, 10);
    if (*end || width < 1 || width > IMAGE_SIDE_LIMIT) {
        /* Once the operator has cured it, the event is handled. */
        *outcome = hostel_retry(hostel_text("config key `width` is `%s`, not 1 to %d", text, IMAGE_SIDE_LIMIT),
                                HOSTEL_BACKOFF);
        return 0;
    }
    return (uint32_t)width;
}

static hostel_outcome publish(const hostel_event *event, const image *picture, const char *size) {
    /* The head of the format and the pixels after it. */
    size_t pixel_len = (size_t)picture->width * picture->height * picture->samples;
    char head[32];
    int head_len = snprintf(head, sizeof head, "P%d %u %u 255\n", picture->samples == 1 ? 5 : 6,
                            (unsigned)picture->width, (unsigned)picture->height);
    uint8_t *body = (uint8_t *)hostel_alloc((size_t)head_len + pixel_len);
    for (int i = 0; i < head_len; i++)
        body[i] = (uint8_t)head[i];
    for (size_t i = 0; i < pixel_len; i++)
        body[(size_t)head_len + i] = picture->pixels[i];
    const hostel_header headers[] = {
        {"Content-Type", picture->samples == 1 ? "image/x-portable-graymap" : "image/x-portable-pixmap"},
        {"Original-Size", size},
    };
    hostel_message message = {
        .headers = headers,
        .header_count = 2,
        .body = body,
        .body_len = (size_t)head_len + pixel_len,
        /* Another attempt at the same event publishes under the same id, by which its hearers know it. */
        .id = hostel_text("resized-%s", hostel_event_id(event)),
    };
    return hostel_publish(RESIZED, &message, NULL) == HOSTEL_OK ? HOSTEL_ACK : hostel_fail();
}

static hostel_outcome handle(const hostel_event *event) {
    hostel_outcome outcome = HOSTEL_ACK;
    uint32_t width = wanted_width(&outcome);
    if (width == 0)
        return outcome;
    hostel_bytes body = hostel_event_body(event);
    image picture;
    const char *problem = image_read(body.data, body.len, &picture);
    if (problem)
        return hostel_reject(problem);

    const char *size = hostel_text("%ux%u", (unsigned)picture.width, (unsigned)picture.height);
    if (picture.width > width) {
        uint32_t height = (uint32_t)((uint64_t)picture.height * width / picture.width);
        if (height == 0)
            height = 1;
        uint8_t *pixels = (uint8_t *)hostel_alloc((size_t)width * height * picture.samples);
        image_shrink(&picture, width, height, pixels);
        picture.width = width;
        picture.height = height;
        picture.pixels = pixels;
    }
    hostel_info("resized %s to %ux%u", size, (unsigned)picture.width, (unsigned)picture.height);
    return publish(event, &picture, size);
}

HOSTEL_HANDLER(handle)

/* Finds a missing or malformed `width` at deployment. */
static hostel_outcome prepare(void) {
    hostel_outcome outcome = HOSTEL_ACK;
    wanted_width(&outcome);
    return outcome;
}

HOSTEL_INIT(prepare)
