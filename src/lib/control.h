/* What a caller wants to know of a call that runs, and how he ends it: struct pqc_control. */
#ifndef PQC_LIB_CONTROL_H
#define PQC_LIB_CONTROL_H

#include "lib/lib.h"

/* Of one call. Used by one thread at a time. */
struct control {
	struct pqc_control c;
	uint64_t shown;		  /* clock_ms when progress was told last; 0: never */
	struct pqc_progress last; /* what came since then */
	bool untold;		  /* is there something in it? */
};

/* given may be NULL. */
int control_begin(struct control *k, const struct pqc_control *given, struct err *e) MUST_CHECK;
/* For the modules that look at a flag; NULL when there is none. */
const atomic_bool *control_flag(const struct control *k);
bool control_cancelled(const struct control *k);
/* Tell how far it is, not too often. Not 0: end the call, for the caller or the flag says so. */
int control_progress(struct control *k, const struct pqc_progress *p);
/* After success: tell what was too soon before, or not known. */
void control_end(struct control *k);

#endif
