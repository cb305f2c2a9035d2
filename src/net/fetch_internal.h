/* Between fetch.c, which talks, and fetch_dial.c, which connects. */
#ifndef PQC_NET_FETCH_INTERNAL_H
#define PQC_NET_FETCH_INTERNAL_H

#include "net/fetch.h"

/* Until when a request may wait. */
struct patience {
	uint64_t deadline; /* clock_ms() */
	const atomic_bool *cancel;
};

/* PQC_ETIMEOUT or PQC_EINTERRUPTED when it has ended. */
int patience_check(const struct patience *p, struct err *e) MUST_CHECK;
/* How long to wait, in milliseconds, before looking again; short enough to notice *cancel. */
int patience_slice(const struct patience *p);

/* net_dial that also looks up the host within p, and can be cancelled. */
int fetch_dial(const struct url *u, const struct patience *p, int *fd, struct err *e) MUST_CHECK;
/* The path may be longer than a socket address holds. */
int fetch_dial_unix(const char *path, const struct patience *p, int *fd, struct err *e) MUST_CHECK;

#endif
