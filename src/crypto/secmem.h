/*
 * Secret memory and process hardening. Secret blocks are locked in memory
 * (best effort: RLIMIT_MEMLOCK), excluded from core dumps, and wiped when
 * freed. A forked child finds them zeroed. crypto_harden() is called once by a
 * program before it reads a key.
 *
 * They hold raw secrets while these are moved about. Keys in use (struct
 * sign_key, struct kem_key, struct aead) are OpenSSL objects in the ordinary
 * heap: OpenSSL wipes them when they are freed and crypto_harden() keeps them
 * out of core dumps, but they are not locked, and may reach swap.
 */
#ifndef PQC_CRYPTO_SECMEM_H
#define PQC_CRYPTO_SECMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Version of the library that does the work, such as "3.5.4". Static. */
const char *crypto_version(void);

/* PR_SET_DUMPABLE 0 and RLIMIT_CORE 0. */
int crypto_harden(void) MUST_CHECK;

/* Zeroed secret block of n bytes, n >= 1; NULL when memory is out. */
void *secret_alloc(size_t n);
/* Wipe and free; NULL is fine. */
void secret_free(void *p, size_t n);
void secret_wipe(void *p, size_t n);
/* Constant-time comparison. */
bool secret_equal(const void *a, const void *b, size_t n);
/* getrandom(2), whole; PQC_ECRYPTO when the kernel refuses. */
int random_bytes(void *p, size_t n) MUST_CHECK;

#endif
