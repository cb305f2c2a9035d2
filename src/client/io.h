/* Sources and sinks of pqc.h: what they must be, and calling the functions that some of them are. */
#ifndef PQC_CLIENT_IO_H
#define PQC_CLIENT_IO_H

#include "base/err.h"
#include "client/slow.h"
#include "pqc.h"

/* PQC_EUSAGE for one that is missing, of no known kind, or lacks what its kind needs. */
int from_check(const struct pqc_source *from, struct err *e) MUST_CHECK;
int to_check(const struct pqc_sink *to, struct err *e) MUST_CHECK;
/* PQC_EUSAGE where one memory would be written over the other. */
int io_apart(const struct pqc_source *from, const struct pqc_sink *to, struct err *e) MUST_CHECK;

/*
 * A callback's next n bytes; *got < n only at its end, past which it is not to be called. *taken
 * counts what came since the first call: PQC_ECHANGED when that is not what was declared. A
 * negative code of the function's is what is returned. Between two calls w is asked (NULL: nobody
 * is), as a function that gives little at a time would be called for long: PQC_EINTERRUPTED.
 */
int callback_read(const struct pqc_source *from, const struct slow_end *w, uint64_t *taken, void *p,
		  size_t n, size_t *got, struct err *e) MUST_CHECK;
int callback_write(const struct pqc_sink *to, const void *p, size_t n, struct err *e) MUST_CHECK;

#endif
