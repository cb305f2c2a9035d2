#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAP 256

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf)BUF_INIT(max);
}

void buf_free(struct buf *b)
{
	if (b->p) {
		explicit_bzero(b->p, b->cap + 1);
		free(b->p);
	}
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->error = 0;
	buf_truncate(b, 0);
}

static int fail(struct buf *b, int code)
{
	b->error = code;
	return code;
}

/* Move to a block of cap bytes and a NUL. Not by realloc: that would leave the old one unwiped. */
static int grow(struct buf *b, size_t cap)
{
	uint8_t *p = cap < SIZE_MAX ? calloc(1, cap + 1) : NULL;

	if (!p)
		return fail(b, PQC_ENOMEM);
	if (b->p) {
		memcpy(p, b->p, b->len);
		explicit_bzero(b->p, b->cap + 1);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return 0;
}

/* Make room for n more bytes; afterwards b->p is not NULL. */
static int reserve(struct buf *b, size_t n)
{
	size_t cap;

	if (b->error)
		return b->error;
	if (n > b->max - b->len)
		return fail(b, PQC_ETOOBIG);
	if (b->p && n <= b->cap - b->len)
		return 0;
	cap = b->cap <= SIZE_MAX / 2 ? b->cap * 2 : SIZE_MAX;
	if (cap < BUF_FIRST_CAP)
		cap = BUF_FIRST_CAP;
	if (cap < b->len + n)
		cap = b->len + n;
	return grow(b, cap < b->max ? cap : b->max);
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
	uint8_t *p;

	if (reserve(b, n) != 0)
		return NULL;
	p = b->p + b->len;
	memset(p, 0, n);
	b->len += n;
	return p;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || reserve(b, n) != 0)
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t p[2];

	be16_put(p, v);
	buf_put(b, p, sizeof(p));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t p[4];

	be32_put(p, v);
	buf_put(b, p, sizeof(p));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t p[8];

	be64_put(p, v);
	buf_put(b, p, sizeof(p));
}

void buf_put_block(struct buf *b, const void *p, size_t n)
{
	if (n > UINT32_MAX) {
		if (!b->error)
			fail(b, PQC_ETOOBIG);
		return;
	}
	buf_put_u32(b, (uint32_t)n);
	buf_put(b, p, n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		if (!b->error)
			fail(b, PQC_ETOOBIG); /* the text is longer than an int can say */
		return;
	}
	if (reserve(b, (size_t)n) != 0)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0 || n > b->len)
		return;
	memmove(b->p, b->p + n, b->len - n);
	buf_truncate(b, b->len - n);
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len >= b->len)
		return;
	explicit_bzero(b->p + len, b->len - len);
	b->len = len;
}

const char *buf_cstr(struct buf *b)
{
	if (reserve(b, 0) != 0)
		return NULL;
	b->p[b->len] = 0;
	return (const char *)b->p;
}

struct rd rd_init(const void *p, size_t n)
{
	static const uint8_t nothing[1]; /* so that NULL can mean "not there" in rd_bytes */
	const uint8_t *start = p ? p : nothing;

	return (struct rd){start, start + (p ? n : 0), false};
}

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > (size_t)(r->end - r->p)) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? p[0] : 0;
}

uint16_t rd_u16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return p ? be16_get(p) : 0;
}

uint32_t rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	return p ? be32_get(p) : 0;
}

uint64_t rd_u64(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 8);

	return p ? be64_get(p) : 0;
}

void rd_copy(struct rd *r, void *out, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (n == 0)
		return;
	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

const uint8_t *rd_block(struct rd *r, size_t max, size_t *n)
{
	uint32_t len = rd_u32(r);
	const uint8_t *p = NULL;

	if (len > max)
		r->bad = true;
	else
		p = rd_bytes(r, len);
	*n = p ? len : 0;
	return p;
}

int rd_finish(const struct rd *r)
{
	return !r->bad && r->p == r->end ? 0 : PQC_EINTEGRITY;
}

void be16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void be32_put(uint8_t *p, uint32_t v)
{
	be16_put(p, (uint16_t)(v >> 16));
	be16_put(p + 2, (uint16_t)v);
}

void be64_put(uint8_t *p, uint64_t v)
{
	be32_put(p, (uint32_t)(v >> 32));
	be32_put(p + 4, (uint32_t)v);
}

uint16_t be16_get(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t be32_get(const uint8_t *p)
{
	return (uint32_t)be16_get(p) << 16 | be16_get(p + 2);
}

uint64_t be64_get(const uint8_t *p)
{
	return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}
