/*
 * Telling "the input is wrong" from "the library failed".
 *
 * OpenSSL answers both with the same return value, and answers an ML-KEM
 * decapsulation during which an allocation failed with success and a wrong
 * secret (seen in 3.5.9, and what test_kem_fault is about). The thread's error queue
 * does know: an operation runs between fault_begin() and fault_end().
 */
#ifndef PQC_CRYPTO_FAULT_H
#define PQC_CRYPTO_FAULT_H

#include <stdbool.h>

#include "base/err.h"

/* Empty the queue and see that it records: PQC_ECRYPTO when it does not. */
int fault_begin(void) MUST_CHECK;
/*
 * The verdict on an operation that returned ok; the queue is empty after it.
 *   0               it succeeded, and nothing was raised on the way
 *   PQC_EINTEGRITY  it failed for a reason of the algorithm's own, or silently
 *   PQC_ECRYPTO     something was raised in spite of success, or it failed for
 *                   a reason common to all (memory, an algorithm not found)
 */
int fault_end(bool ok) MUST_CHECK;

#endif
