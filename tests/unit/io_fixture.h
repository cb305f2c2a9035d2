/* Sources and sinks of every kind with the same bytes behind them. */
#ifndef PQC_TESTS_IO_FIXTURE_H
#define PQC_TESTS_IO_FIXTURE_H

#include <stdio.h>

#include "sealed_io.h"

/* A function that gives the bytes in portions of another length each time. */
struct giver {
	const uint8_t *p;
	size_t n, at;
	unsigned calls, fail_at; /* the call that fails; 0: none */
	int64_t code;
};

static int64_t give(void *arg, void *p, size_t n)
{
	struct giver *g = arg;
	size_t k = 1 + g->calls * 7919 % 50000;

	if (++g->calls == g->fail_at)
		return g->code;
	if (k > n)
		k = n;
	if (k > g->n - g->at)
		k = g->n - g->at;
	memcpy(p, g->p + g->at, k);
	g->at += k;
	return (int64_t)k;
}

static struct pqc_source giver_source(struct giver *g, uint64_t size)
{
	return (struct pqc_source){.kind = PQC_IO_CALLBACK, .read = give, .arg = g, .size = size};
}

struct taker {
	uint8_t *p;
	size_t n, room;
	unsigned calls, fail_at;
	int code;
};

static int take(void *arg, const void *p, size_t n)
{
	struct taker *t = arg;

	if (++t->calls == t->fail_at)
		return t->code;
	assert_true(n <= t->room - t->n);
	memcpy(t->p + t->n, p, n);
	t->n += n;
	return 0;
}

static struct pqc_sink taker_sink(struct taker *t)
{
	return (struct pqc_sink){.kind = PQC_IO_CALLBACK, .write = take, .arg = t};
}

static struct pqc_source memory_source(const void *p, size_t n)
{
	return (struct pqc_source){.kind = PQC_IO_MEMORY, .data = p, .size = n};
}

static struct pqc_sink memory_sink(void *p, size_t n)
{
	return (struct pqc_sink){.kind = PQC_IO_MEMORY, .data = p, .size = n};
}

enum from_kind { FROM_PATH, FROM_FD, FROM_MEMORY, FROM_CALLBACK, FROM_DECLARED, FROM_KINDS };
enum to_kind { TO_PATH, TO_FD, TO_MEMORY, TO_CALLBACK, TO_KINDS };

/* Both ends of one call. Files are in dir. */
struct ends {
	struct pqc_source from;
	struct pqc_sink to;
	struct giver giver;
	struct taker taker;
	char from_path[64], to_path[64];
};

static inline void ends_make(struct ends *x, const char *dir, unsigned from, unsigned to,
			     const struct bytes *in, size_t room)
{
	memset(x, 0, sizeof(*x));
	snprintf(x->from_path, sizeof(x->from_path), "%s/from", dir);
	snprintf(x->to_path, sizeof(x->to_path), "%s/to", dir);
	x->giver = (struct giver){.p = in->p, .n = in->n};
	x->taker = (struct taker){.p = malloc(room + 1), .room = room};
	assert_non_null(x->taker.p);
	switch (from) {
	case FROM_PATH:
		assert_int_equal(file_replace(AT_FDCWD, x->from_path, in->p, in->n, 0600, NULL), 0);
		x->from = (struct pqc_source){.kind = PQC_IO_PATH, .path = x->from_path};
		break;
	case FROM_FD:
		x->from = from_fd(memory_file(in->p, in->n));
		break;
	case FROM_MEMORY:
		x->from = memory_source(in->p, in->n);
		break;
	default:
		x->from = giver_source(&x->giver, from == FROM_DECLARED ? in->n : PQC_SIZE_UNKNOWN);
	}
	if (to == TO_PATH)
		x->to = (struct pqc_sink){.kind = PQC_IO_PATH, .path = x->to_path};
	else if (to == TO_FD)
		x->to = to_fd(memory_file("", 0));
	else if (to == TO_MEMORY)
		x->to = memory_sink(x->taker.p, room);
	else
		x->to = taker_sink(&x->taker);
}

/* What came out, in bytes of the caller's; n: how much the call says it was. */
static inline struct bytes ends_take(struct ends *x, uint64_t n)
{
	struct bytes b = {x->taker.p, (size_t)n};
	struct buf file = BUF_INIT(OUT_MAX);

	if (x->from.kind == PQC_IO_FD)
		close(x->from.fd);
	if (x->from.kind == PQC_IO_PATH)
		assert_int_equal(unlink(x->from_path), 0);
	switch (x->to.kind) {
	case PQC_IO_PATH:
		assert_int_equal(file_slurp(AT_FDCWD, x->to_path, &file, NULL), 0);
		assert_int_equal(unlink(x->to_path), 0);
		assert_int_equal(file.len, n);
		memcpy(b.p, file.p, file.len);
		buf_free(&file);
		break;
	case PQC_IO_FD:
		free(b.p);
		b = file_bytes(x->to.fd);
		assert_int_equal(b.n, n);
		close(x->to.fd);
		break;
	case PQC_IO_CALLBACK:
		assert_int_equal(x->taker.n, n);
		break;
	case PQC_IO_MEMORY:
		break;
	}
	return b;
}

static inline void plain_sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	struct sha256 *s = sha256_new();

	assert_non_null(s);
	assert_int_equal(sha256_add(s, p, n), 0);
	assert_int_equal(sha256_end(s, out), 0);
	sha256_free(s);
}

#endif
