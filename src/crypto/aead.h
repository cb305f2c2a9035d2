/*
 * AES-256-GCM (NIST SP 800-38D) one-shot, and Cobblestone-256
 * (c2sp.org/chunked-encryption: SHA-512, AES-256-GCM, 16 KiB chunks).
 */
#ifndef PQC_CRYPTO_AEAD_H
#define PQC_CRYPTO_AEAD_H

#include "base/err.h"
#include "crypto/kdf.h"

#define AEAD_TAG   16
#define AEAD_IV	   12
#define COB_SALT   24
#define COB_COMMIT 32
#define COB_HEAD   (COB_SALT + COB_COMMIT)
#define COB_CHUNK  16384

/* A reusable cipher context; one per thread. NULL from new when memory is out. */
struct aead;
struct aead *aead_new(void);
void aead_free(struct aead *a);

/*
 * out[in->n] and tag from in; in->p == out allowed. aad or in NULL: empty; in
 * empty is GMAC over the aad, and out may then be NULL.
 */
int aead_seal(struct aead *a, const uint8_t key[KEY_LEN], const uint8_t iv[AEAD_IV],
	      const struct span *aad, const struct span *in, uint8_t *out,
	      uint8_t tag[AEAD_TAG]) MUST_CHECK;
/* PQC_EINTEGRITY when the tag is wrong; out is then zeroed. */
int aead_open(struct aead *a, const uint8_t key[KEY_LEN], const uint8_t iv[AEAD_IV],
	      const struct span *aad, const struct span *in, const uint8_t tag[AEAD_TAG],
	      uint8_t *out) MUST_CHECK;
/* out = iv XOR big-endian seq in its last 8 bytes. */
void aead_nonce(const uint8_t iv[AEAD_IV], uint64_t seq, uint8_t out[AEAD_IV]);

/* Ciphertext length of an n-byte message: 56 + n + 16 * (n / 16384 + 1). */
size_t cob_sealed_len(size_t n);
/* Message length of a ciphertext of n bytes; PQC_EINTEGRITY when no message has that length. */
int cob_opened_len(size_t n, size_t *out) MUST_CHECK;
/*
 * Seal in[n] into out[cob_sealed_len(n)] with the given salt, which must never
 * repeat under key. in and out must not overlap. ctx NULL: empty.
 */
int cob_seal(struct aead *a, const uint8_t key[KEY_LEN], const uint8_t salt[COB_SALT],
	     const struct span *ctx, const struct span *in, uint8_t *out) MUST_CHECK;
/*
 * Open in[n]; *out must hold cob_opened_len(n). PQC_EINTEGRITY for every kind
 * of damage alike; out is then zeroed as far as it was written.
 */
int cob_open(struct aead *a, const uint8_t key[KEY_LEN], const struct span *ctx,
	     const struct span *in, uint8_t *out) MUST_CHECK;

#endif
