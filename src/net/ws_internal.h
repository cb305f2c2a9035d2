/* One frame header (RFC 6455 section 5.2), between ws_frame.c and ws.c. */
#ifndef PQC_NET_WS_INTERNAL_H
#define PQC_NET_WS_INTERNAL_H

#include "net/ws.h"

#define WS_CONTROL_MAX 125

/* RFC 6455 section 7.4.1 */
enum ws_close_code {
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_NONE = 1005,
	WS_CLOSE_NOT_UTF8 = 1007,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
};

struct ws_frame {
	enum ws_opcode op;
	bool fin;
	uint64_t len;
	uint8_t mask[4]; /* zero when not masked */
};

static inline bool ws_is_control(enum ws_opcode op)
{
	return op >= WS_CLOSE;
}

/*
 * Decode the header at p[n] of a frame that must (not) be masked. Returns its
 * length, PQC_EAGAIN when more bytes are needed, PQC_EPROTO.
 */
int ws_frame_decode(const uint8_t *p, size_t n, bool masked, struct ws_frame *f) MUST_CHECK;

#endif
