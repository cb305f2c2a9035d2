/* Hashes and key derivation over OpenSSL EVP and libblake3. */
#ifndef PQC_CRYPTO_KDF_H
#define PQC_CRYPTO_KDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/suite.h"

#define SHA256_LEN 32
#define SHA512_LEN 64
#define PRK_LEN	   64

/* One span of input. p may be NULL when n is 0. A list of spans comes with its count. */
struct span {
	const void *p;
	size_t n;
};

/* SHA-512 over the concatenation of n spans. */
int sha512(const struct span *in, size_t n, uint8_t out[SHA512_LEN]) MUST_CHECK;
/* SHA-256 (FIPS 180-4) piece by piece; one thread at a time. */
struct sha256;
struct sha256 *sha256_new(void); /* NULL: no memory */
void sha256_free(struct sha256 *s);
int sha256_add(struct sha256 *s, const void *p, size_t n) MUST_CHECK;
/* Nothing may be added after it. */
int sha256_end(struct sha256 *s, uint8_t out[SHA256_LEN]) MUST_CHECK;
/* HMAC-SHA-512(key[32], spans), first 32 bytes (RFC 2104, truncated as in RFC 4868). */
int hmac512_256(const uint8_t key[KEY_LEN], const struct span *in, size_t n,
		uint8_t out[32]) MUST_CHECK;
/* HKDF-Extract-SHA-512 (RFC 5869 section 2.2). */
int hkdf_extract(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len,
		 uint8_t prk[PRK_LEN]) MUST_CHECK;
#define HKDF_SPANS_MAX 16
/*
 * HKDF-Expand-SHA-512 (RFC 5869 section 2.3) with info = the spans, at most
 * HKDF_SPANS_MAX of them and 32 KiB in all; prk may be 32 or 64 bytes;
 * out_len <= 255*64. PQC_ECRYPTO beyond these.
 */
int hkdf_expand(const void *prk, size_t prk_len, const struct span *info, size_t n, void *out,
		size_t out_len) MUST_CHECK;
/* Argon2id (RFC 9106), 32 bytes out. */
struct argon2_params {
	uint32_t m_kib, t, p; /* memory, passes, lanes */
};
/* RFC 9106 section 4, the second recommended option: 64 MiB, 3 passes, 4 lanes. */
#define ARGON2_DEFAULT ((struct argon2_params){64 * 1024, 3, 4})
/* What is accepted from a file: neither free to guess against nor able to exhaust the reader. */
#define ARGON2_M_MIN (8 * 1024)
#define ARGON2_M_MAX (1024 * 1024)
#define ARGON2_T_MAX 16
#define ARGON2_P_MAX 16
bool argon2_in_bounds(const struct argon2_params *a);
/* PQC_EINTEGRITY for parameters out of bounds, PQC_ENOMEM. */
int argon2id(const struct argon2_params *a, const void *pass, size_t pass_len,
	     const uint8_t salt[32], uint8_t out[KEY_LEN]) MUST_CHECK;

/* BLAKE3 over the spans. */
void blake3(const struct span *in, size_t n, uint8_t out[32]);
/* The suite's content tree hash (BLAKE3 or SHA-384) over the spans; out has suite->hash_len bytes. */
int tree_hash(const struct suite *s, const struct span *in, size_t n, uint8_t *out) MUST_CHECK;

#endif
