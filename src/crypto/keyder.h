/* One private key in PKCS#8, in the one form that is written and accepted (docs/container.md). */
#ifndef PQC_CRYPTO_KEYDER_H
#define PQC_CRYPTO_KEYDER_H

#include "base/buf.h"
#include "crypto/pkey.h"

#define KEYDER_LABEL "PRIVATE KEY" /* of its PEM block */

size_t keyder_len(const struct pkey_alg *a);
int keyder_encode(const struct pkey_alg *a, const EVP_PKEY *k,
		  uint8_t der[PKEY_DER_MAX]) MUST_CHECK;
/* Append it as a PEM block; a NULL: nothing. */
int keyder_put_pem(struct buf *out, const struct pkey_alg *a, const EVP_PKEY *k) MUST_CHECK;
/* The algorithm of a form that begins and ends as the one written here, else NULL. */
const struct pkey_alg *keyder_alg(const struct buf *der);

#endif
