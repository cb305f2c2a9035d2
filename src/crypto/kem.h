/*
 * Key encapsulation. Two uses:
 *  - handshake: ephemeral X25519MLKEM768 / SecP384r1MLKEM1024
 *    (draft-ietf-tls-ecdhe-mlkem), public key and ciphertext as TLS sends them;
 *  - recipient: X-Wing (draft-connolly-cfrg-xwing-kem) or ML-KEM-1024 + P-384
 *    (docs/container.md, "Recipient KEM of suite 2").
 * A decapsulation that the library could not carry out (memory) is
 * PQC_ECRYPTO, never a wrong secret. A share that is merely wrong gives a
 * random secret, so that the caller fails later in one uniform way.
 */
#ifndef PQC_CRYPTO_KEM_H
#define PQC_CRYPTO_KEM_H

#include "crypto/suite.h"

struct kem_key; /* private key; see secmem.h for where it lives */

/* Handshake KEM: a fresh key; pk gets suite->hs_pk_len bytes. */
int kem_hs_generate(const struct suite *s, struct kem_key **out, uint8_t *pk) MUST_CHECK;
/* ct[hs_ct_len], ss[hs_ss_len]. PQC_EINTEGRITY for a malformed public key. */
int kem_hs_encap(const struct suite *s, const uint8_t *pk, uint8_t *ct, uint8_t *ss) MUST_CHECK;
/* ss[hs_ss_len]; 0 and a random secret for a ciphertext that is not for this key. */
int kem_hs_decap(const struct kem_key *k, const uint8_t *ct, uint8_t *ss) MUST_CHECK;

/* Recipient KEM. */
int kem_rcpt_generate(const struct suite *s, struct kem_key **out) MUST_CHECK;
int kem_rcpt_public(const struct kem_key *k, uint8_t *pk) MUST_CHECK; /* rcpt_pk_len */
/* As kem_hs_encap and kem_hs_decap, with the rcpt_ lengths. */
int kem_rcpt_encap(const struct suite *s, const uint8_t *pk, uint8_t *ct, uint8_t *ss) MUST_CHECK;
int kem_rcpt_decap(const struct kem_key *k, const uint8_t *ct, uint8_t *ss) MUST_CHECK;
void kem_free(struct kem_key *k);

#endif
