/* Link: what its files share. */
#ifndef PQC_CLIENT_LINK_IMPL_H
#define PQC_CLIENT_LINK_IMPL_H

#include "client/link.h"

#define LINK_OUT_MAX 262144

/* How long to wait for the peer. */
struct deadline {
	uint64_t at;	/* clock_ms */
	unsigned renew; /* every byte from the peer moves it this many ms from then; 0: it stays */
};

/* Has the caller called it off? PQC_EINTERRUPTED. */
int link_cancelled(const struct link *l, struct err *e) MUST_CHECK;
/* Wait until the stream is ready as wanted. PQC_ETIMEOUT, PQC_EINTERRUPTED. */
int link_wait(struct link *l, unsigned want, const struct deadline *d, struct err *e) MUST_CHECK;
/* Write all that is queued. */
int link_flush_all(struct link *l, const struct deadline *d, struct err *e) MUST_CHECK;
/* Some bytes, at most *n, waiting for them; *n says how many. */
int link_read(struct link *l, uint8_t *p, size_t *n, struct deadline *d, struct err *e) MUST_CHECK;
/* Queue a masked frame in l->out. */
int link_frame(struct link *l, enum ws_opcode op, const void *p, size_t n) MUST_CHECK;
/* The next whole message; its bytes are valid until the parser is called again. Pings are answered. */
int link_next(struct link *l, enum ws_opcode op, struct deadline *d, struct ws_event *ev,
	      struct err *e) MUST_CHECK;
/* While the request waits in the server's queue: tell the caller its place, who may call it off then. */
void link_tell_place(const struct link *l);

#endif
