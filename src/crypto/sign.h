/*
 * Identity signatures: suite 1 is the composite id-MLDSA65-Ed25519-SHA512
 * (draft-ietf-lamps-pq-composite-sigs; both parts must verify), suite 2 is
 * pure ML-DSA-87 (FIPS 204). `ctx` is the FIPS 204 context string, also
 * carried by the composite; the contexts used stand in docs/protocol.md.
 */
#ifndef PQC_CRYPTO_SIGN_H
#define PQC_CRYPTO_SIGN_H

#include "crypto/kdf.h"

struct sign_key; /* private key; see secmem.h for where it lives */

int sign_generate(const struct suite *s, struct sign_key **out) MUST_CHECK;
void sign_free(struct sign_key *k);
int sign_public(const struct sign_key *k, uint8_t *pk) MUST_CHECK; /* suite->sig_pk_len */
/* sig gets exactly suite->sig_len bytes. ctx is a C string of at most 255 bytes. */
int sign_make(const struct sign_key *k, const char *ctx, const struct span *msg,
	      uint8_t *sig) MUST_CHECK;
/* 0 or PQC_EINTEGRITY (not valid) or PQC_ECRYPTO (could not be checked). */
int sign_verify(const struct suite *s, const uint8_t *pk, const char *ctx, const struct span *msg,
		const uint8_t *sig) MUST_CHECK;

#endif
