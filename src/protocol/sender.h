/*
 * The sending side of a put, without I/O: which part goes next within the
 * window, what the acknowledgements say, when it is time to commit.
 */
#ifndef PQC_PROTOCOL_SENDER_H
#define PQC_PROTOCOL_SENDER_H

#include "protocol/partset.h"
#include "protocol/session.h"

struct sender;

/* n: number of parts, 0 while unknown (a stream). */
int sender_new(struct sender **out, uint64_t n) MUST_CHECK;
void sender_free(struct sender *s);
/*
 * A (re)connection: the server holds these parts, durably, and allows this
 * window; what was in flight is forgotten. PQC_EPROTO when the window is 0,
 * the file has not these parts, or one is gone that was durable.
 */
int sender_connected(struct sender *s, const struct partset *held, uint32_t window) MUST_CHECK;
/* The part that sender_next would give, without taking it: a stream must have its bytes first. */
int sender_peek(const struct sender *s, uint64_t *part) MUST_CHECK;
/* The next part to send, which is then in flight. PQC_EAGAIN: wait for an ACK. PQC_ENOTFOUND: all are sent. */
int sender_next(struct sender *s, uint64_t *part, uint64_t *sequence) MUST_CHECK;
/* The stream ended: n parts, n >= 1. */
void sender_set_parts(struct sender *s, uint64_t n);
/* An ACK: PQC_EPROTO when it names a part that was never sent, or durable goes backwards. */
int sender_acked(struct sender *s, const struct msg *ack) MUST_CHECK;
/* Parts 0..x-1 are durable. */
uint64_t sender_durable(const struct sender *s);
/* Parts acknowledged as received (held ones included). */
uint64_t sender_received(const struct sender *s);
/* Every part handed out at least once on this connection or held: time to COMMIT. */
bool sender_all_sent(const struct sender *s);

#endif
