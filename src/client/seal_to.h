/* What seal, open and rewrap share: adding stanzas, and the raw key. */
#ifndef PQC_CLIENT_SEAL_TO_H
#define PQC_CLIENT_SEAL_TO_H

#include "client/sealfile.h"

/* Add to kb everybody and everything of `to`. */
int seal_to_apply(const struct seal_to *to, const struct pqx_header *h, const struct pqx_keys *k,
		  struct keyblock *kb, struct err *e) MUST_CHECK;

/* PQC_EUSAGE for associated data without a raw key, or a length without data. */
int raw_key_check(const uint8_t *raw_key, const void *data, size_t n, struct err *e) MUST_CHECK;
/* The key that the stanza is made of: with n 0 raw_key itself. out is a secret. */
int raw_key_bind(const uint8_t raw_key[KEY_LEN], const void *data, size_t n,
		 uint8_t out[KEY_LEN]) MUST_CHECK;

#endif
