/* The parts of a signature key, for key files and test vectors. */
#ifndef PQC_CRYPTO_SIGN_INTERNAL_H
#define PQC_CRYPTO_SIGN_INTERNAL_H

#include "crypto/pkey.h"
#include "crypto/sign.h"

struct sign_key {
	const struct suite *s;
	EVP_PKEY *pq;
	EVP_PKEY *classic; /* NULL in suite 2 */
};

/* The component algorithms of the suite's signature; classic: NULL when there is none. */
struct sign_parts {
	const struct pkey_alg *pq, *classic;
};
const struct sign_parts *sign_parts_of(const struct suite *s);

/* classic is not looked at in suite 2. */
int sign_from_secrets(const struct suite *s, const uint8_t *pq, const uint8_t *classic,
		      struct sign_key **out) MUST_CHECK;

#endif
