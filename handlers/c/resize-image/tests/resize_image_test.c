/* resize-image, natively. */

#include <hostel_test.h>

#include <string.h>

#include <hostel_check.h>

static hostel_test_run run(const char *body, size_t len) {
    hostel_test_event event = {.id = "e-1", .topic = "images.uploaded", .body = body, .body_len = len};
    return hostel_test(&event);
}

static void a_picture_is_shrunk_to_the_mean_of_its_pixels(void) {
    hostel_test_config("width", "2");
    static const char picture[] = "P5 4 2 255\n\x00\x0a\x64\x66\x14\x1e\x68\x6a";
    hostel_test_run done = run(picture, sizeof picture - 1);
    CHECK(done.outcome == HOSTEL_ACK);
    CHECK(done.published_count == 1);
    const hostel_test_published *resized = &done.published[0];
    CHECK_TEXT(resized->topic, "images.resized");
    CHECK_TEXT(resized->id, "resized-e-1");
    CHECK_TEXT(hostel_test_header(resized, "content-type"), "image/x-portable-graymap");
    CHECK_TEXT(hostel_test_header(resized, "Original-Size"), "4x2");
    static const char expected[] = "P5 2 1 255\n\x0f\x67";
    CHECK(resized->body.len == sizeof expected - 1);
    CHECK(memcmp(resized->body.data, expected, sizeof expected - 1) == 0);
    CHECK_TEXT(done.logs[0].text, "resized 4x2 to 2x1");
}

static void pixels_that_are_cut_count_by_their_part(void) {
    /* Three pixels on two: each new one has one and a half. (90 + 0.5 * 30) / 1.5 = 70, (0.5 * 30 + 0) / 1.5 = 10. */
    hostel_test_config("width", "2");
    static const char picture[] = "P5 3 1 255\n\x5a\x1e\x00";
    hostel_test_run done = run(picture, sizeof picture - 1);
    CHECK(memcmp(done.published[0].body.data, "P5 2 1 255\n\x46\x0a", 13) == 0);
}

static void colours_stay_apart(void) {
    hostel_test_config("width", "1");
    static const char picture[] = "P6\n# a comment\n2 1\n255\n\xff\x00\x10\xff\x02\x20";
    hostel_test_run done = run(picture, sizeof picture - 1);
    CHECK(done.published[0].body.len == 14);
    CHECK(memcmp(done.published[0].body.data, "P6 1 1 255\n\xff\x01\x18", 14) == 0);
    CHECK_TEXT(hostel_test_header(&done.published[0], "Content-Type"), "image/x-portable-pixmap");
}

static void a_narrow_picture_passes_as_it_is(void) {
    hostel_test_config("width", "320");
    static const char picture[] = "P5 1 2 255\n\x01\x02";
    hostel_test_run done = run(picture, sizeof picture - 1);
    CHECK(done.published[0].body.len == sizeof picture - 1);
    CHECK(memcmp(done.published[0].body.data, picture, sizeof picture - 1) == 0);
}

static void what_is_no_picture_is_rejected(void) {
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"", "the body is no binary PGM or PPM picture: it does not begin with P5 or P6"},
        {"P4 1 1\n", "the body is no binary PGM or PPM picture: it does not begin with P5 or P6"},
        {"P5", "the picture's sides are not 1 to 8192 pixels"},
        {"P5 0 1 255\n", "the picture's sides are not 1 to 8192 pixels"},
        {"P5 -1 1 255\n", "the picture's sides are not 1 to 8192 pixels"},
        {"P5 8193 1 255\n", "the picture's sides are not 1 to 8192 pixels"},
        {"P5 99999999999 1 255\n", "the picture's sides are not 1 to 8192 pixels"},
        {"P5 1 1 65535\n12", "the picture's samples do not go to 255"},
        {"P5 1 1 255", "the picture ends before its last pixel"},
        {"P6 8192 8192 255\nshort", "the picture ends before its last pixel"},
    };
    hostel_test_config("width", "2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hostel_test_run done = run(cases[i].body, strlen(cases[i].body));
        CHECK(done.outcome == HOSTEL_REJECT);
        CHECK_TEXT(done.reason, cases[i].reason);
        CHECK(done.published_count == 0);
    }
}

static void a_full_queue_is_tried_again_when_the_host_says(void) {
    hostel_test_config("width", "2");
    hostel_test_refuse("images.resized", HOSTEL_OVERLOADED, 3000);
    hostel_test_run done = run("P5 1 1 255\n1", 12);
    CHECK(done.outcome == HOSTEL_RETRY);
    CHECK(done.after_ms == 3000);
}

static void preparation_wants_a_width(void) {
    hostel_test_run done = hostel_test_init();
    CHECK(done.outcome == HOSTEL_RETRY);
    CHECK_TEXT(done.reason, "config key `width` is not set; set it under `[config]` in the handler's manifest");
    hostel_test_config("width", "12px");
    CHECK_TEXT(hostel_test_init().reason, "config key `width` is `12px`, not 1 to 8192");
    hostel_test_reset();
    hostel_test_config("width", "320");
    CHECK(hostel_test_init().outcome == HOSTEL_ACK);
}

int main(void) {
    RUN(a_picture_is_shrunk_to_the_mean_of_its_pixels);
    RUN(pixels_that_are_cut_count_by_their_part);
    RUN(colours_stay_apart);
    RUN(a_narrow_picture_passes_as_it_is);
    RUN(what_is_no_picture_is_rejected);
    RUN(a_full_queue_is_tried_again_when_the_host_says);
    RUN(preparation_wants_a_width);
    return FAILED();
}
