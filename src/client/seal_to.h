/* Adding stanzas, shared by seal and rewrap. */
#ifndef PQC_CLIENT_SEAL_TO_H
#define PQC_CLIENT_SEAL_TO_H

#include "client/sealfile.h"

/* Add to kb everybody and everything of `to`. */
int seal_to_apply(const struct seal_to *to, const struct pqx_header *h, const struct pqx_keys *k,
		  struct keyblock *kb, struct err *e) MUST_CHECK;

#endif
