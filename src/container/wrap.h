/*
 * Wrapping the DEK under a single-use key (docs/container.md, "Key block").
 * For the stanzas' code only.
 */
#ifndef PQC_CONTAINER_WRAP_H
#define PQC_CONTAINER_WRAP_H

#include "container/header.h"

#define WRAP_LEN 80 /* wc[32] | encrypted DEK[32] | tag[16] */

/* What a wrapping key is made of. ikm is a secret of the caller's. */
struct wrapping {
	uint16_t type; /* of the stanza */
	struct span ikm;
	uint8_t h1[SHA512_LEN], h2[SHA512_LEN];
};

int dek_wrap(const struct pqx_header *h, const struct wrapping *w, const uint8_t dek[KEY_LEN],
	     uint8_t out[WRAP_LEN]) MUST_CHECK;
/* PQC_ENOKEY: not wrapped under this key, or edited since; dek is then zero. */
int dek_unwrap(const struct pqx_header *h, const struct wrapping *w, const uint8_t wrap[WRAP_LEN],
	       uint8_t dek[KEY_LEN]) MUST_CHECK;

#endif
