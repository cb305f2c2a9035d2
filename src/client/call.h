/* One call of the client's interface: what lasts from one of its connections to the next. */
#ifndef PQC_CLIENT_CALL_H
#define PQC_CLIENT_CALL_H

#include "client/retry.h"
#include "client/trail.h"

struct call {
	const struct client_opts *o;
	const struct url *u;
	struct retry retry;
	uint64_t queue_ms; /* waited in the server's queue so far */
	struct trace_ctx trace;
	bool asked;	     /* a server was told of the trace */
	atomic_bool off;     /* a callback of the caller's has called it off */
	atomic_bool spoiled; /* source or sink failed: */
	int spoil;
	struct err spoil_err;
	struct trail trail;
};

/* PQC_ECRYPTO without randomness. */
int call_begin(struct call *c, const struct client_opts *o, const struct url *u,
	       struct err *e) MUST_CHECK;
/* Has the caller called it off, in whichever way? From any thread. */
bool call_is_off(const struct call *c);
/* The same for slow_end.over; arg is a struct call. */
bool call_is_over(const void *arg);
/* Tell the caller how far it is: 0, or PQC_EINTERRUPTED when it wants no more. */
int call_progress(struct call *c, const struct progress *p, struct err *e) MUST_CHECK;
/*
 * The source or the sink failed with rc and e. Whatever that is, a new connection does not mend
 * it: the call ends with it. Returns rc. From any thread.
 */
int call_spoil(struct call *c, int rc, const struct err *e);
/*
 * An attempt failed with rc, and none of its threads is at work any more: what the reason is, which
 * may have come to light after the connection broke.
 */
int call_reason(const struct call *c, int rc, struct err *e) MUST_CHECK;
/* An attempt failed with rc: 0, after waiting, when another is worth it; else the reason. */
int call_retry(struct call *c, int rc, struct err *e) MUST_CHECK;
/*
 * A wait in the server's queue ended. The server was last heard of at `heard` (clock_ms): up to
 * then the time counts as no failure.
 */
void call_queued(struct call *c, uint64_t began, uint64_t heard);
/*
 * It is over with rc: fill in what the caller wants to know of it. A failure that a server may
 * have noted as well is given the trace's id, to be found there. Returns rc.
 */
int call_end(struct call *c, int rc, struct err *e);
/* The same for a transfer, whose trace is handed over. */
int call_end_transfer(struct call *c, const struct trail_kind *kind,
		      const struct transfer_result *r, int rc, struct err *e);

#endif
