/* For whom something is sealed and what opens it, from the caller's options to the engine's. */
#ifndef PQC_LIB_WHOM_H
#define PQC_LIB_WHOM_H

#include "client/sealfile.h"
#include "lib/lib.h"

/* An options struct of the caller's, of whatever version, is taken over to out; given NULL: PQC_EUSAGE. */
int whom_take_seal(const struct pqc_seal_options *given, struct pqc_seal_options *out,
		   struct err *e) MUST_CHECK;
int whom_take_open(const struct pqc_open_options *given, struct pqc_open_options *out,
		   struct err *e) MUST_CHECK;

/* What the engine's structs point to. */
struct whom {
	struct kek kek;
	const struct public_identity **list;
};
void whom_free(struct whom *w);
/* Those of o. PQC_EUSAGE: a contradiction, or nobody at all. */
int whom_seal(struct whom *w, const struct pqc_seal_options *o, struct seal_to *to,
	      struct err *e) MUST_CHECK;
/* PQC_EUSAGE when there is nothing that could open anything. */
int whom_open(struct whom *w, const struct pqc_open_options *o, struct open_keys *keys,
	      struct err *e) MUST_CHECK;

int whom_check_threads(unsigned threads, struct err *e) MUST_CHECK;

#endif
