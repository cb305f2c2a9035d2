/*
 * After the handshake: control messages sealed with a running number, and the
 * tags of uploaded data frames (docs/protocol.md, "Messages after the
 * handshake"). A session belongs to one thread, except that frame_tag may be
 * called from any thread with that thread's own aead: it only reads keys.
 */
#ifndef PQC_PROTOCOL_SESSION_H
#define PQC_PROTOCOL_SESSION_H

#include "protocol/msg.h"

#define WIRE_HANDSHAKE 0x03
#define WIRE_CONTROL   0x10
#define WIRE_DATA      0x20
#define FRAME_LEN      32
#define FRAME_FINAL    1u

struct session;
void session_free(struct session *s);

/* Append 10 | AEAD(message). */
int session_seal(struct session *s, const struct msg *m, struct buf *out) MUST_CHECK;
/* Open wire[n] (with its first byte) in place and decode; spans point into wire. PQC_EPROTO. */
int session_open(struct session *s, uint8_t *wire, size_t n, struct msg *m) MUST_CHECK;

struct frame {
	uint8_t flags;
	uint32_t handle, length;
	uint64_t part, sequence;
};
void frame_encode(const struct frame *f, uint8_t out[FRAME_LEN]);
/* PQC_EPROTO when reserved bytes or unknown flags are set, or the kind is not data. */
int frame_decode(const uint8_t in[FRAME_LEN], struct frame *f) MUST_CHECK;

/* The 16-byte tag of an uploaded frame. */
int session_frame_tag(const struct session *s, struct aead *a, const uint8_t head[FRAME_LEN],
		      const uint8_t *leaf, size_t leaf_len, uint8_t tag[AEAD_TAG]) MUST_CHECK;
/* The same, compared: PQC_EPROTO when it differs. */
int session_frame_check(const struct session *s, struct aead *a, const uint8_t head[FRAME_LEN],
			const uint8_t *leaf, size_t leaf_len,
			const uint8_t tag[AEAD_TAG]) MUST_CHECK;

#endif
