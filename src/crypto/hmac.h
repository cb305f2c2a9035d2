/* HMAC for formats of others, which do not take ours. */
#ifndef PQC_CRYPTO_HMAC_H
#define PQC_CRYPTO_HMAC_H

#include "crypto/kdf.h"

#define HMAC_SHA256_LEN 32

/* HMAC-SHA-256 (RFC 2104, FIPS 198-1) over the concatenation of n spans; key_len at least 1. */
int hmac_sha256(const void *key, size_t key_len, const struct span *in, size_t n,
		uint8_t out[HMAC_SHA256_LEN]) MUST_CHECK;

#endif
