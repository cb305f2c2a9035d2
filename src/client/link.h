/*
 * A connection to a server up to and including M4, then its messages.
 * Blocking with deadlines; the data phases of put and get use the stream and
 * the parser directly from their own loop.
 */
#ifndef PQC_CLIENT_LINK_H
#define PQC_CLIENT_LINK_H

#include "client/call.h"
#include "net/stream.h"
#include "net/ws.h"
#include "protocol/handshake.h"

/* Where the request is in the server's queue. */
struct place {
	bool waiting;
	uint32_t position; /* 1 is next; 0: not told */
	uint64_t due;	   /* clock_ms when the wait should be over; UINT64_MAX: not told */
};

struct link {
	struct stream *st;
	struct ws *ws;
	struct hs_client *hs;
	struct session *session;
	struct buf out; /* frames waiting to be written */
	uint8_t server_id[ID_LEN];
	struct call *call;
	struct place place;
	uint64_t asked; /* trail_clock when the request had been sent */
	uint64_t heard; /* clock_ms when the server's last bytes came */
};

/*
 * Connect, check the server, send req, wait in its queue, get the reply. A reply with an error
 * status becomes the matching error code with the server's words in e. reply's spans are valid
 * until something else is received.
 */
int link_open(struct link *l, struct call *c, const struct msg *req, struct msg *reply,
	      struct err *e) MUST_CHECK;
/* The part of link_open before M3: *pinned tells whether the server's identity is known. */
int link_greet(struct link *l, struct call *c, bool *pinned, struct err *e) MUST_CHECK;
void link_close(struct link *l);

/* Queue a control message as a masked frame in l->out. */
int link_queue(struct link *l, const struct msg *m) MUST_CHECK;
/* Queue a pong. */
int link_pong(struct link *l, const struct ws_event *ev) MUST_CHECK;
/* Write what is queued: 0 when all is written, PQC_EAGAIN with *want. */
int link_flush(struct link *l, unsigned *want) MUST_CHECK;
/* Write what is queued, then wait for the next control message; pings are answered, data frames are errors. */
int link_recv(struct link *l, struct msg *m, struct err *e) MUST_CHECK;
/* A control message that ends the request: MSG_ERROR turned into a code, others are PQC_EPROTO. */
int link_error(const struct msg *m, struct err *e) MUST_CHECK;

#endif
