/*
 * The engine of seal and open. The input is a run of pieces of equal length
 * with a shorter last one; threads take them in turn, transform each in memory
 * of their own, and put the results where they belong. There is no queue: a
 * thread does everything for its piece while the bytes are in its cache, and
 * waits only for its turn (at an input or output without random access, and
 * when it is far ahead of the slowest).
 */
#ifndef PQC_CLIENT_PIPELINE_H
#define PQC_CLIENT_PIPELINE_H

#include <sys/stat.h>

#include "client/sealfile.h"
#include "container/part.h"
#include "container/tree.h"
#include "crypto/aead.h"

/* Where bytes come from: a regular file from its position on, or a stream. */
struct source {
	int fd;
	bool seekable;
	uint64_t base, size; /* seekable: offset of the first byte, bytes from there */
	struct stat before;
};

int source_init(struct source *s, int fd, struct err *e) MUST_CHECK;
/* *got < n only at the end. A stream ignores off. */
int source_read(const struct source *s, void *p, size_t n, uint64_t off, size_t *got,
		struct err *e) MUST_CHECK;
/* PQC_ECHANGED when a regular file is no longer what it was at source_init. */
int source_unchanged(const struct source *s, struct err *e) MUST_CHECK;

struct sink {
	int fd;
	int direct; /* ours, for file_pwrite_direct; or -1 */
	bool seekable;
	uint64_t base;
};

int sink_init(struct sink *s, int fd, struct err *e) MUST_CHECK;
/*
 * n bytes will come: take their room in a regular file now, or say that it is
 * not there (PQC_EQUOTA), and if they are many write them past the page cache.
 */
int sink_expect(struct sink *s, uint64_t n, struct err *e) MUST_CHECK;
void sink_close(struct sink *s);
/* A stream ignores off. */
int sink_write(const struct sink *s, const void *p, size_t n, uint64_t off,
	       struct err *e) MUST_CHECK;
/* Leave the position of a regular file behind its n bytes. */
int sink_finish(const struct sink *s, uint64_t n, struct err *e) MUST_CHECK;

struct piece {
	uint64_t i;
	bool final;
	const uint8_t *in;
	size_t in_len;
	/* Set by the work: */
	uint8_t *out;
	size_t out_len, plain_len;
	uint8_t leaf[HASH_MAX];
};

struct pipeline_opts {
	const struct source *src;
	uint64_t src_off, src_len; /* seekable: the pieces lie in [off, off + len) */
	size_t src_piece;	   /* bytes of a full piece */
	/*
	 * A stream's end that is no piece: tail_len finds its length in the last
	 * bytes p[n] of the stream; it is at most tail_max. NULL and 0: none.
	 */
	int (*tail_len)(const uint8_t *p, size_t n, size_t *len);
	size_t tail_max;

	const struct sink *dst;
	uint64_t dst_off;
	size_t dst_piece;

	/* 0, or a negative PQC_E* and e. Called by many threads; a is the thread's own. */
	int (*work)(void *arg, struct aead *a, struct piece *p, struct err *e);
	void *work_arg;
	const struct suite *suite;
	unsigned threads;
	uint64_t plain_size; /* for progress */
	progress_fn *progress;
	void *progress_arg;
};

struct pipeline_result {
	uint64_t n, plain_size, dst_len;
	uint8_t root[HASH_MAX];	    /* over the leaves */
	uint8_t tail[PQX_TAIL_MAX]; /* of a stream */
	size_t tail_len;
};

int pipeline_run(const struct pipeline_opts *o, struct pipeline_result *r,
		 struct err *e) MUST_CHECK;

#endif
