/*
 * Control messages (docs/protocol.md, "Messages after the handshake"): one
 * table of types and fields drives encoding, decoding and every check.
 */
#ifndef PQC_PROTOCOL_MSG_H
#define PQC_PROTOCOL_MSG_H

#include <stdbool.h>

#include "base/buf.h"
#include "container/header.h"

enum msg_type {
	MSG_REQUEST = 1,
	MSG_REPLY,
	MSG_ACK,
	MSG_COMMIT,
	MSG_RECEIPT,
	MSG_FETCH,
	MSG_NEXT,
	MSG_ENTRIES,
	MSG_ERROR,
};
enum msg_op { OP_PUT = 1, OP_GET, OP_LIST, OP_STAT, OP_DELETE, OP_RECEIPT };
enum msg_status { ST_ACCEPTED = 0, ST_QUEUED = 1, ST_ERROR = 2 };
enum msg_code {
	CODE_REFUSED = 1,
	CODE_TEMPORARY,
	CODE_INTEGRITY,
	CODE_QUOTA,
	CODE_PROTOCOL,
	CODE_EXISTS,
	CODE_INTERNAL,
	CODE_SUITE,
	CODE_NAME,
};
enum msg_tag {
	TAG_OP = 1,
	TAG_NAME,
	TAG_SIZE,
	TAG_FILE_ID,
	TAG_HEADER,
	TAG_DEK,
	TAG_KEYBLOCK,
	TAG_TRACEPARENT,
	TAG_RANGES,
	TAG_STATUS,
	TAG_CODE,
	TAG_TEXT,
	TAG_RETRY_AFTER,
	TAG_POSITION,
	TAG_HANDLE,
	TAG_WINDOW,
	TAG_DURABLE,
	TAG_MANIFEST,
	TAG_RECEIPT,
	TAG_ENTRIES,
	TAG_CURSOR,
	TAG_MAX = TAG_CURSOR,
};

/* A decoded or to-be-encoded message. Spans are borrowed. `has` holds bit (1u << tag). */
struct msg {
	uint8_t type;
	uint32_t has;
	uint8_t op, status, code;
	uint32_t retry_after, position, handle, window;
	uint64_t size, durable;
	struct span name, file_id, header, dek, keyblock, traceparent, ranges, text, manifest,
		receipt, entries, cursor;
};

#define MSG_MAX	       131072 /* a sealed control message on the wire */
#define MSG_WINDOW_MAX 4096
/* The bit of `has` for a field; who sets a field sets its bit. */
#define msg_bit(tag)	(1u << (tag))
#define msg_has(m, tag) (((m)->has >> (tag)) & 1u)

/*
 * Append the encoding; PQC_EPROTO when the fields do not fit the type or its
 * op or status (a caller's mistake), and out is then as before. What is
 * allowed where: the table in msg.c.
 */
int msg_encode(const struct msg *m, struct buf *out) MUST_CHECK;
/*
 * PQC_EPROTO for anything but a message of docs/protocol.md; m is then empty.
 * Spans point into p. Ranges are canonical, entries well-formed and their
 * names allowed. The name of a request is UTF-8 without NUL, and otherwise NOT
 * checked: see name_check.
 */
int msg_decode(const uint8_t *p, size_t n, struct msg *m) MUST_CHECK;

/* One line of a listing (tag 20). */
struct msg_entry {
	uint64_t size, time;
	const uint8_t *owner; /* ID_LEN bytes, borrowed */
	struct span name;
};
void msg_entry_put(struct buf *entries, const struct msg_entry *e);
/* The next entry; false at the end of r, and when what is there is no entry (rd_finish tells). */
bool msg_entry_next(struct rd *r, struct msg_entry *e);

/* The library's error code for a wire code, and the reverse. */
int msg_code_to_err(unsigned code);
unsigned msg_err_to_code(int err);
/* The code's name in JSON ("temporary"), NULL when there is no such code; and the reverse, 0. */
const char *msg_code_name(unsigned code);
unsigned msg_code_by_name(const char *name);

#endif
