/*
 * Capped buffers and bounded readers. Every growable buffer is born with a
 * maximum. Integers are big-endian.
 *
 * A writer that would pass the maximum, or runs out of memory, marks the
 * buffer failed and ignores what follows: check buf_error() once at the end.
 * A reader that would pass the end marks itself failed and yields zeros:
 * check rd_finish() once at the end.
 */
#ifndef PQC_BASE_BUF_H
#define PQC_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
	uint8_t *p; /* owned */
	size_t len, cap, max;
	int error; /* 0, PQC_ETOOBIG or PQC_ENOMEM */
};

#define BUF_INIT(maximum)        \
	{                        \
		.max = (maximum) \
	}

void buf_init(struct buf *b, size_t max);
/* Wipe, free and reset to empty; the maximum stays. */
void buf_free(struct buf *b);
/* Forget the content (wiped), keep the memory. Clears the error. */
void buf_reset(struct buf *b);
/* Drop what is past the first len bytes (wiped). */
void buf_truncate(struct buf *b, size_t len);
/* Room for n more bytes at the end; NULL on failure. The bytes count as written, zeroed. */
uint8_t *buf_extend(struct buf *b, size_t n);
/* Append p[n], which is not part of b itself. */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_str(struct buf *b, const char *s);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
/* L(x): u32 length | bytes. */
void buf_put_block(struct buf *b, const void *p, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drop n bytes from the front; nothing when there are not as many. */
void buf_consume(struct buf *b, size_t n);
/* The buffer's content as a C string (a NUL is kept after len, not counted); NULL on failure. */
const char *buf_cstr(struct buf *b);
static inline int buf_error(const struct buf *b)
{
	return b->error;
}

struct rd {
	const uint8_t *p, *end; /* borrowed */
	bool bad;
};

struct rd rd_init(const void *p, size_t n);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
/* A pointer to the next n bytes, borrowed; NULL when there are not as many. */
const uint8_t *rd_bytes(struct rd *r, size_t n);
/* Copy n bytes to out; zeros when there are not as many. */
void rd_copy(struct rd *r, void *out, size_t n);
/* L(x) with a length of at most max; NULL and *n = 0 on failure. */
const uint8_t *rd_block(struct rd *r, size_t max, size_t *n);
static inline size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}
/* 0 when nothing failed and every byte was read, else PQC_EINTEGRITY. */
int rd_finish(const struct rd *r) MUST_CHECK;

/* Plain big-endian stores and loads. */
void be16_put(uint8_t *p, uint16_t v);
void be32_put(uint8_t *p, uint32_t v);
void be64_put(uint8_t *p, uint64_t v);
uint16_t be16_get(const uint8_t *p);
uint32_t be32_get(const uint8_t *p);
uint64_t be64_get(const uint8_t *p);

#endif
