/*
 * The steps of AES-256-GCM, for callers within src/crypto that seal many
 * messages under one key: aead_key once, then one call a message, then
 * aead_forget.
 */
#ifndef PQC_CRYPTO_AEAD_INTERNAL_H
#define PQC_CRYPTO_AEAD_INTERNAL_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "crypto/aead.h"

struct aead {
	EVP_CIPHER *cipher; /* fetched once: a fetch takes locks */
	EVP_CIPHER_CTX *ctx;
};

int aead_key(struct aead *a, bool seal, const uint8_t key[KEY_LEN]) MUST_CHECK;
int aead_seal_one(struct aead *a, const uint8_t iv[AEAD_IV], const struct span *aad,
		  const struct span *in, uint8_t *out, uint8_t tag[AEAD_TAG]) MUST_CHECK;
/* Leaves unauthenticated text in out when it fails: the caller wipes it. */
int aead_open_one(struct aead *a, const uint8_t iv[AEAD_IV], const struct span *aad,
		  const struct span *in, const uint8_t tag[AEAD_TAG], uint8_t *out) MUST_CHECK;
/* Wipe the key schedule. */
void aead_forget(struct aead *a);

/* Does the head[COB_HEAD] of a Cobblestone-256 message commit to key and ctx? 0, PQC_EINTEGRITY. */
int cob_key_fits(const uint8_t key[KEY_LEN], const struct span *ctx,
		 const uint8_t head[COB_HEAD]) MUST_CHECK;

#endif
