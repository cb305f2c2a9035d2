/* Time. Pure layers take times as arguments; only the outer layers call these. */
#ifndef PQC_BASE_CLOCK_H
#define PQC_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ms(void);   /* monotonic, milliseconds */
uint64_t clock_ns(void);   /* the same clock, nanoseconds */
uint64_t clock_unix(void); /* wall clock, seconds since 1970 UTC */

#endif
