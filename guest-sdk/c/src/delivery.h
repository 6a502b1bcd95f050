/* What the component and the double share: the memory of a delivery, and what its handler said. Not for authors. */
#ifndef HOSTEL_DELIVERY_H
#define HOSTEL_DELIVERY_H

#include "hostel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes over what malloc gave, until the delivery ends. */
void *hostel_delivery_adopt(void *memory);
/* A text of its own, with a NUL, that belongs to the delivery. */
const char *hostel_delivery_copy(const char *text, size_t len);
/* Keeps why a call failed, and returns the status. */
hostel_status hostel_delivery_failed(hostel_status status, const char *text, uint64_t number);
/* A config key that is not set. */
hostel_status hostel_delivery_not_set(const char *key);
/* Why the handler did not acknowledge, and its time or HOSTEL_BACKOFF. */
const char *hostel_delivery_reason(int64_t *after_ms);
/* Frees everything and forgets what was said. */
void hostel_delivery_end(void);

#ifdef __cplusplus
}
#endif

#endif
