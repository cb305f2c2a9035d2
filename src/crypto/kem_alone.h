/*
 * The recipient KEM by itself, for programs that bring their own container: keys and ciphertexts
 * as bytes, and a shared secret of KEY_LEN bytes that may be used as a key.
 *
 * Suite 1: that of X-Wing. Suite 2, whose KEM is no combiner by itself (docs/container.md):
 * HKDF-SHA-512 of its secret with salt "pqx1 kem" and info "pqx1 kem" | 00 | SHA-512(public key) |
 * SHA-512(ciphertext). A private key is the last two blocks of a private key file (docs/container.md).
 */
#ifndef PQC_CRYPTO_KEM_ALONE_H
#define PQC_CRYPTO_KEM_ALONE_H

#include "base/buf.h"
#include "crypto/kdf.h"

#define KEM_TEXT_MAX 1024 /* bytes of a private key's text */

/* Append the keys. */
int kem_alone_generate(const struct suite *s, struct buf *pk, struct buf *sk,
		       struct err *e) MUST_CHECK;
/* Append the ciphertext. PQC_EINTEGRITY: no public key of this suite. */
int kem_alone_encap(const struct suite *s, const struct span *pk, struct buf *ct,
		    uint8_t ss[KEY_LEN], struct err *e) MUST_CHECK;
/*
 * PQC_EINTEGRITY: no private key of this suite, or another length than a ciphertext has. One that
 * is not for this key gives a random secret.
 */
int kem_alone_decap(const struct suite *s, const struct span *sk, const struct span *ct,
		    uint8_t ss[KEY_LEN], struct err *e) MUST_CHECK;

#endif
