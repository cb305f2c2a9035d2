/*
 * The receiving side of a put, without I/O: which frames may come, which parts
 * are held, what to acknowledge. The server (or a test) moves the bytes.
 *
 *   accept -> (verify tag, write) -> received -> (fsync body, record leaf, fsync) -> durable
 */
#ifndef PQC_PROTOCOL_RECEIVER_H
#define PQC_PROTOCOL_RECEIVER_H

#include "protocol/partset.h"
#include "protocol/session.h"

struct receiver;

struct receiver_opts {
	const struct pqx_header *header; /* borrowed for the receiver's life */
	uint32_t handle, window;	 /* window: 1 to MSG_WINDOW_MAX */
	const struct partset *held;	 /* durable already; copied */
};
/* PQC_EINTEGRITY when held has parts that the file has not. */
int receiver_new(struct receiver **out, const struct receiver_opts *o) MUST_CHECK;
void receiver_free(struct receiver *r);

/*
 * A data frame's header arrived (its part has not yet): check handle,
 * sequence, part within the window and the file, length, final flag.
 * PQC_EPROTO with the reason in e. *known is set when the part is held or on
 * its way already: then the caller compares its leaf with the recorded one
 * and drops it.
 */
int receiver_accept(struct receiver *r, const struct frame *f, bool *known,
		    struct err *e) MUST_CHECK;
/* The part was verified and written. PQC_EFAIL when it was not on its way (a caller's mistake). */
int receiver_received(struct receiver *r, uint64_t part) MUST_CHECK;
/* The part is durable, leaf included. PQC_EFAIL when it was not received. */
int receiver_durable(struct receiver *r, uint64_t part) MUST_CHECK;

/*
 * COMMIT arrived, whose manifest says n parts: PQC_EPROTO when the file has
 * another number, a part was not sent yet, or it is the second COMMIT. From now
 * on no frame is accepted. For a stream this settles the number of parts: its
 * final part may have come on an earlier connection.
 */
int receiver_commit(struct receiver *r, uint64_t n, struct err *e) MUST_CHECK;

/* Anything to tell the client? Fills ranges and durable of an ACK; the spans live until the next call. */
bool receiver_ack(struct receiver *r, struct msg *ack);
/* Number of parts when known (from the size, the final part or COMMIT), else 0. */
uint64_t receiver_parts(const struct receiver *r);
/* Every part of the file durable? */
bool receiver_complete(const struct receiver *r);
const struct partset *receiver_held(const struct receiver *r); /* durable */

#endif
