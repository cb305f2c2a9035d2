/*
 * What a transfer did when, for its trace: a root span, below it the phases of each connection,
 * below "transfer" the work on parts. A phase begins where the one before ended, also from one
 * connection to the next, so that phases add up to the whole. Kept in memory of fixed size until
 * the end, so that a transfer that reconnects for a month does not fill a collector.
 */
#ifndef PQC_CLIENT_TRAIL_H
#define PQC_CLIENT_TRAIL_H

#include "client/client.h"
#include "telemetry/trace.h"

#define TRAIL_LEGS 64 /* the last connections that are kept */

enum phase {
	PHASE_BACKOFF, /* waiting before another attempt */
	PHASE_CONNECT, /* socket, TLS, upgrade */
	PHASE_HANDSHAKE,
	PHASE_QUEUE,
	PHASE_TRANSFER,
	PHASE_COMMIT,
	PHASES, /* none */
};

/* What a trace is called, and the two kinds of work on parts; they overlap. */
struct trail_kind {
	const char *name, *work[2];
};
extern const struct trail_kind trail_put, trail_get;
enum { WORK_SEAL = 0, WORK_SEND = 1, WORK_RECEIVE = 0, WORK_OPEN = 1 };

/* Times are of trail_clock, nanoseconds. */
struct leg {
	uint64_t start, end[PHASES]; /* end 0: the phase did not take place */
	const char *error;	     /* of the last phase; static text; NULL: none */
	struct work {
		uint64_t first, last, busy, parts;
	} work[2];
};

struct trail {
	uint64_t count; /* legs so far */
	enum phase phase;
	uint64_t began, at; /* of the first leg; of the last change */
	struct leg leg[TRAIL_LEGS];
};

/* Monotonic. From any thread. */
uint64_t trail_clock(void);
void trail_init(struct trail *t);
/* The phase that was under way ends, this one begins: now, or at a time since the last change. */
void trail_enter(struct trail *t, enum phase phase);
void trail_enter_at(struct trail *t, enum phase phase, uint64_t at);
/* The connection is over, with rc; the next phase is of the next one. */
void trail_leave(struct trail *t, int rc);
/* One part was worked on; while the connection is there. */
void trail_work(struct trail *t, int which, uint64_t first, uint64_t last);

struct trail_end {
	const struct trail_kind *kind;
	const struct trace_ctx *root;
	const struct transfer_result *result;
	int rc;
};
/* The transfer is over: hand its spans to tracer. */
void trail_emit(const struct trail *t, const struct trail_end *end, struct tracer *tracer);

#endif
