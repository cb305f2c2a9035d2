/*
 * What is known of a request from its arrival to its end: where it stands, how long each step took. From
 * this come the access line, the metrics of transfers, the spans of its trace and /transfers.
 * Part of struct conn; the loop's thread only. Times are clock_ns(), 0 while the step has not been reached.
 */
#ifndef PQC_SERVER_TRANSFER_H
#define PQC_SERVER_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/msg.h"
#include "telemetry/trace.h"

struct conn;

enum transfer_state { T_NONE, T_QUEUED, T_OPENING, T_DATA, T_COMMIT, T_OVER };
/* In the order of the metrics' labels. Refused: for what the client asked or sent; failed: for a fault of ours. */
enum transfer_result { R_DONE, R_FAILED, R_INTERRUPTED, R_REFUSED };

/* One kind of work that a transfer's parts need, from the first to the last. */
struct busy {
	uint64_t first, last, ns, parts;
};

struct transfer {
	struct trace_ctx trace;		     /* our span; the client's is its parent */
	char trace_id[2 * TRACE_ID_LEN + 1]; /* "" before the request */
	enum transfer_state state;
	bool put;
	char *name;	     /* own copy */
	uint8_t file_id[32]; /* of a get: zero until the object is open */
	uint64_t size;	     /* plaintext bytes; UINT64_MAX: not known yet */
	uint64_t bytes,
		resumed; /* ciphertext bytes of parts moved, and of those there were already */
	uint64_t requested, admitted, opened, committing;
	struct busy verify, write, fsync, send;
};

/* The request was verified: take up the client's trace, or begin one. */
void transfer_requested(struct conn *c, const struct msg *m);
/* It asks for a transfer; waiting until transfer_admitted. size: UINT64_MAX when not known. */
void transfer_begin(struct conn *c, bool put, const struct msg *m, uint64_t size);
void transfer_admitted(struct conn *c);
/* The client was told to go on. resumed: bytes held already. */
void transfer_opened(struct conn *c, uint64_t resumed);
void transfer_committing(struct conn *c);
/* code: 0, or the PQC_E* that ended it. A second call does nothing, nor does one for what is no transfer. */
void transfer_end(struct conn *c, enum transfer_result result, int code);
/* Memory that transfer_begin took. */
void transfer_free(struct transfer *t);

void busy_add(struct busy *b, uint64_t from, uint64_t to);
const char *transfer_state_name(enum transfer_state s);
/* What a PQC_E* that ends a transfer makes of it. */
enum transfer_result transfer_verdict(int code);
const char *transfer_result_name(enum transfer_result r);

/* The `data` object of an event about it (docs/operations.md, "Events"), appended. */
struct transfer_event {
	const struct transfer *t;
	const uint8_t *client_id;
	const char *result;  /* "done", "failed", "refused" */
	int code;	     /* 0, or PQC_E* */
	struct span receipt; /* PEM, or empty */
};
void transfer_event_json(const struct transfer_event *ev, struct buf *out);

#endif
