/* Sealing and opening from memory to memory, through regular files or pipes on either side. */
#ifndef PQC_TESTS_SEALED_IO_H
#define PQC_TESTS_SEALED_IO_H

#include "pqx_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/sealfile.h"
#include "container/part.h"

#define OUT_MAX (1u << 21)

struct bytes {
	uint8_t *p;
	size_t n;
};

enum via { FILES = 0, PIPE_IN = 1, PIPE_OUT = 2, PIPES = 3 };

static inline int memory_file(const void *p, size_t n)
{
	int fd = memfd_create("pqx", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_pwrite(fd, p, n, 0, NULL), 0);
	return fd;
}

static inline struct bytes file_bytes(int fd)
{
	struct bytes b = {malloc(OUT_MAX), 0};
	size_t got;

	assert_non_null(b.p);
	assert_true(lseek(fd, 0, SEEK_SET) == 0);
	assert_int_equal(file_read(fd, b.p, OUT_MAX, &got, NULL), 0);
	b.n = got;
	return b;
}

/* One end of a pipe with a thread at the other. */
struct pump {
	pthread_t thread;
	int fd;
	struct bytes b;
};

static void *feed(void *arg)
{
	struct pump *p = arg;

	(void)!file_write(p->fd, p->b.p, p->b.n, NULL); /* EPIPE: the reader has seen enough */
	close(p->fd);
	return NULL;
}

static void *drain(void *arg)
{
	struct pump *p = arg;

	(void)!file_read(p->fd, p->b.p, OUT_MAX, &p->b.n, NULL);
	close(p->fd);
	return NULL;
}

static inline int pump_in(struct pump *p, const struct bytes *b)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p->fd = fds[1];
	p->b = *b;
	assert_int_equal(pthread_create(&p->thread, NULL, feed, p), 0);
	return fds[0];
}

static inline int pump_out(struct pump *p)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p->fd = fds[0];
	p->b = (struct bytes){malloc(OUT_MAX), 0};
	assert_non_null(p->b.p);
	assert_int_equal(pthread_create(&p->thread, NULL, drain, p), 0);
	return fds[1];
}

/* Run op(arg, in, out) with `in` coming and *out going the way `via` says. */
static inline int pass(int (*op)(void *arg, int in, int out), void *arg, enum via via,
		       const struct bytes *in, struct bytes *out)
{
	struct pump from, to;
	int fd_in = via & PIPE_IN ? pump_in(&from, in) : memory_file(in->p, in->n);
	int fd_out = via & PIPE_OUT ? pump_out(&to) : memory_file("", 0);
	int r = op(arg, fd_in, fd_out);

	if (!(via & PIPE_OUT))
		*out = file_bytes(fd_out);
	close(fd_in);
	close(fd_out);
	if (via & PIPE_IN)
		pthread_join(from.thread, NULL);
	if (via & PIPE_OUT) {
		pthread_join(to.thread, NULL);
		*out = to.b;
	}
	return r;
}

static inline struct pqc_source from_fd(int fd)
{
	return (struct pqc_source){.kind = PQC_IO_FD, .fd = fd};
}

static inline struct pqc_sink to_fd(int fd)
{
	return (struct pqc_sink){.kind = PQC_IO_FD, .fd = fd};
}

struct seal_call {
	struct seal_opts o;
	struct seal_result r;
	struct err e;
};

static inline int seal_op(void *arg, int in, int out)
{
	struct seal_call *c = arg;
	const struct pqc_source from = from_fd(in);
	const struct pqc_sink to = to_fd(out);

	c->o.from = &from;
	c->o.to = &to;
	return seal_stream(&c->o, &c->r, &c->e);
}

struct open_call {
	struct open_opts o;
	struct open_result r;
	struct err e;
};

static inline int open_op(void *arg, int in, int out)
{
	struct open_call *c = arg;
	const struct pqc_source from = from_fd(in);
	const struct pqc_sink to = to_fd(out);

	c->o.from = &from;
	c->o.to = &to;
	return open_stream(&c->o, &c->r, &c->e);
}

static const uint8_t the_key[KEY_LEN] = "thirty-two bytes of a raw key...";

/* Seal p[n] in parts of 64 KiB under the_key; sign NULL: unsigned. */
static inline struct bytes seal_simply(const uint8_t *p, size_t n, const struct identity *sign,
				       enum via via)
{
	struct seal_call c = {.o = {.part_size = PART,
				    .threads = 2,
				    .whom = {.raw_key = the_key},
				    .sign = sign,
				    .time = 1700000000}};
	const struct bytes in = {(uint8_t *)(uintptr_t)p, n};
	struct bytes out;

	assert_int_equal(pass(seal_op, &c, via, &in, &out), 0);
	assert_int_equal(out.n, c.r.sealed_size);
	return out;
}

/* Open with the_key; *out may be NULL. */
static inline int open_simply(const struct bytes *in, enum via via, struct bytes *out)
{
	struct open_call c = {.o = {.keys = {.raw_key = the_key}, .threads = 2}};
	struct bytes got;
	int r = pass(open_op, &c, via, in, &got);

	assert_int_equal(c.e.code, r);
	if (out != NULL)
		*out = got;
	else
		free(got.p);
	return r;
}

#endif
