/*
 * The recipient KEM with its randomness as an argument: what kem.h does with
 * random bytes, key files with stored ones, and the test vectors with theirs.
 */
#ifndef PQC_CRYPTO_KEM_INTERNAL_H
#define PQC_CRYPTO_KEM_INTERNAL_H

#include "crypto/kem.h"
#include "crypto/pkey.h"

struct kem_key {
	const struct suite *s;
	EVP_PKEY *pq;	   /* ML-KEM, or the whole handshake hybrid */
	EVP_PKEY *classic; /* X25519 or P-384; NULL for a handshake key */
};

#define KEM_ENTROPY_MAX (32 + 48)

/* The component algorithms of the suite's recipient KEM. */
struct rcpt_kem {
	const struct pkey_alg *pq, *classic;
	bool classic_first; /* in public key, ciphertext and shared secret */
};
const struct rcpt_kem *rcpt_kem_of(const struct suite *s);

/* secret: of ML-KEM, then of the classic algorithm. PQC_EINTEGRITY: not a key. */
int kem_rcpt_from_secrets(const struct suite *s, const uint8_t *pq, const uint8_t *classic,
			  struct kem_key **out) MUST_CHECK;
/* entropy: m[32] of ML-KEM, then the ephemeral secret of the classic algorithm. */
int kem_rcpt_encap_with(const struct suite *s, const uint8_t *pk, const uint8_t *entropy,
			uint8_t *ct, uint8_t *ss) MUST_CHECK;

/* What a decapsulation gives out: for a wrong ciphertext a random secret and 0. */
int kem_verdict(int r, uint8_t *ss, size_t ss_len) MUST_CHECK;

#endif
