/* A few lines for unit tests in C: checks that go on after a failure, and a count at the end. */
#ifndef HOSTEL_CHECK_H
#define HOSTEL_CHECK_H

#include <stdio.h>
#include <string.h>

static int check_failures, check_tests, check_failed_tests;

/* Says where a condition does not hold. */
#define CHECK(condition)                                                                                               \
    ((condition) ? (void)0                                                                                             \
                 : (void)(check_failures++, printf("%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition)))

/* Says where two texts differ. */
#define CHECK_TEXT(text, expected)                                                                                     \
    check_text((text), (expected), __FILE__, __LINE__)

/* Runs one test. */
#define RUN(test)                                                                                                      \
    do {                                                                                                               \
        int before = check_failures;                                                                                   \
        hostel_test_reset();                                                                                           \
        (test)();                                                                                                      \
        check_tests++;                                                                                                 \
        check_failed_tests += check_failures > before;                                                                 \
        printf("test %s ... %s\n", #test, check_failures > before ? "FAILED" : "ok");                                  \
    } while (0)

/* The last line, and what main returns. */
#define FAILED()                                                                                                       \
    (hostel_test_reset(),                                                                                              \
     printf("%d passed, %d failed\n", check_tests - check_failed_tests, check_failed_tests), check_failed_tests > 0)

static inline void check_text(const char *text, const char *expected, const char *file, int line) {
    if (!text || strcmp(text, expected) != 0) {
        check_failures++;
        printf("%s:%d: \"%s\" is not \"%s\"\n", file, line, text ? text : "(null)", expected);
    }
}

#endif
