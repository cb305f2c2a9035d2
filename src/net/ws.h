/*
 * RFC 6455 framing, the subset of docs/protocol.md, without I/O: the parser
 * says where the next bytes go and gives events; large data messages go
 * straight into the owner's buffer, still masked, so that a worker can unmask
 * them while it hashes.
 */
#ifndef PQC_NET_WS_H
#define PQC_NET_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
#define WS_HEADER_MAX 14
#define WS_DATA_HEAD  32 /* bytes of a data message that are the frame header of docs/protocol.md */

/* Header of a frame that carries n bytes, into out[14]; mask NULL: a server's. Returns its length. */
size_t ws_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode op, uint64_t n, const uint8_t mask[4]);
/* XOR p[n] with the mask, as at offset off of the payload. Vectorised. */
void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t off);

struct ws;

enum ws_event_type {
	WS_EV_NONE, /* more bytes needed */
	WS_EV_MESSAGE, /* whole text or binary message, unmasked: op, p, n; valid until the next ws call */
	WS_EV_DATA, /* a data message begins: head (unmasked), n = bytes after it, mask, off = WS_DATA_HEAD */
	WS_EV_DATA_END, /* its last byte is in the owner's buffer */
	WS_EV_PING,	/* p, n: answer with a pong */
	WS_EV_PONG,
	WS_EV_CLOSE, /* code in n (1005 when none was given) */
};
struct ws_event {
	enum ws_event_type type;
	enum ws_opcode op;
	uint8_t *p;
	size_t n;
	uint8_t head[WS_DATA_HEAD];
	uint8_t mask[4]; /* zero when the frame is not masked */
};

struct ws_opts {
	bool server;	    /* peers must mask; else peers must not */
	uint8_t data_kind;  /* first payload byte of a data message (0x20) */
	size_t message_max; /* whole text or control message */
	size_t data_max;    /* bytes of a data message after its head */
};
int ws_new(struct ws **out, const struct ws_opts *o) MUST_CHECK;
void ws_free(struct ws *w);
/* The limits change once the handshake is done. */
void ws_limits(struct ws *w, size_t message_max, size_t data_max);

/*
 * Where to receive next: *p, at most *n bytes. *n is 0 after WS_EV_DATA until
 * ws_data_into was called.
 */
void ws_want(struct ws *w, uint8_t **p, size_t *n);
/* n bytes were put there. */
void ws_got(struct ws *w, size_t n);
/* Bytes that came with the HTTP upgrade. At most the internal buffer's size (16 KiB). */
int ws_feed(struct ws *w, const uint8_t *p, size_t n) MUST_CHECK;
/* Next event; call until WS_EV_NONE. PQC_EPROTO with the RFC 6455 close code in *close_code. */
int ws_next(struct ws *w, struct ws_event *ev, unsigned *close_code) MUST_CHECK;
/* Do the bytes that come next go into the owner's buffer? */
bool ws_in_data(const struct ws *w);
/* After WS_EV_DATA: the owner's buffer for the n bytes. What the parser has already is copied there. */
void ws_data_into(struct ws *w, uint8_t *p);

#endif
