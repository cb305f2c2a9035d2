/* One call of the client's interface: what lasts from one of its connections to the next. */
#ifndef PQC_CLIENT_CALL_H
#define PQC_CLIENT_CALL_H

#include "client/retry.h"

struct call {
	const struct client_opts *o;
	const struct url *u;
	struct retry retry;
	uint64_t queue_ms; /* waited in the server's queue so far */
};

void call_begin(struct call *c, const struct client_opts *o, const struct url *u);
/* An attempt failed with rc: 0, after waiting, when another is worth it (retry_wait); else the reason. */
int call_retry(struct call *c, int rc, struct err *e) MUST_CHECK;
/*
 * A wait in the server's queue ended. The server was last heard of at `heard` (clock_ms): up to
 * then the time counts as no failure.
 */
void call_queued(struct call *c, uint64_t began, uint64_t heard);
/* It is over: fill in what the caller wants to know of it. */
void call_end(struct call *c);

#endif
