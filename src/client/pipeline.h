/*
 * The engine of seal and open. The input is a run of pieces of equal length
 * with a shorter last one; threads take them in turn, transform each in memory
 * of their own, and put the results where they belong. There is no queue: a
 * thread does everything for its piece while the bytes are in its cache, and
 * waits only for its turn (at an input or output without random access, at the
 * plaintext's hash, and when it is far ahead of the slowest).
 */
#ifndef PQC_CLIENT_PIPELINE_H
#define PQC_CLIENT_PIPELINE_H

#include <sys/stat.h>

#include "client/outfile.h"
#include "client/sealfile.h"
#include "client/slow.h"
#include "container/part.h"
#include "container/tree.h"
#include "crypto/aead.h"

/* Where bytes come from: with random access, or a stream. */
struct source {
	const struct pqc_source *from;
	int fd; /* -1: none */
	const uint8_t *memory;
	bool seekable;
	uint64_t base;	/* of a file: offset of the first byte */
	uint64_t size;	/* bytes from there on; PQX_SIZE_UNKNOWN of a stream that nobody measured */
	uint64_t taken; /* of a callback: bytes that came */
	struct stat before;
	struct halt *halt; /* ends a wait for a stream; NULL: nothing does */
};

/* source_close is due after a failure, too. */
int source_init(struct source *s, const struct pqc_source *from, struct err *e) MUST_CHECK;
void source_close(struct source *s);
/* *got < n only at the end. A stream ignores off. */
int source_read(struct source *s, void *p, size_t n, uint64_t off, size_t *got,
		struct err *e) MUST_CHECK;
/* The byte at off where it lies; NULL for what is not memory. */
const uint8_t *source_at(const struct source *s, uint64_t off);
/* PQC_ECHANGED when a regular file is no longer what it was at source_init. */
int source_unchanged(const struct source *s, struct err *e) MUST_CHECK;
/* For both ends. */
void end_widen_pipe(int fd, const struct stat *st);

struct sink {
	const struct pqc_sink *to;
	struct outfile file; /* of a path */
	int fd;		     /* -1: none */
	int direct;	     /* ours, for file_pwrite_direct; or -1 */
	uint8_t *memory;
	bool seekable;
	uint64_t base;	   /* of a file */
	uint64_t room;	   /* of memory */
	struct halt *halt; /* as of a source */
};

/* sink_close is due after a failure, too. */
int sink_init(struct sink *s, const struct pqc_sink *to, struct err *e) MUST_CHECK;
/*
 * n bytes will come: take their room in a regular file now, or say that it is
 * not there (PQC_EQUOTA; of memory PQC_ETOOBIG), and if they are many write them past the page cache.
 */
int sink_expect(struct sink *s, uint64_t n, struct err *e) MUST_CHECK;
/* What was not finished leaves no file of its name. */
void sink_close(struct sink *s);
/* Where n bytes at off will lie; NULL for what is not memory, or too small. What is there is not written again. */
uint8_t *sink_at(const struct sink *s, uint64_t off, size_t n);
/* A stream ignores off. */
int sink_write(const struct sink *s, const void *p, size_t n, uint64_t off,
	       struct err *e) MUST_CHECK;
/* All n bytes are there: a descriptor's position goes behind them, a path gets its file. */
int sink_finish(struct sink *s, uint64_t n, struct err *e) MUST_CHECK;

/* PQC_EUSAGE where one would be written over the other. */
int ends_apart(const struct source *from, const struct sink *to, struct err *e) MUST_CHECK;

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
	struct source *src;
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
	size_t dst_piece; /* bytes that a full piece becomes */
	size_t dst_max;	  /* the most that any of these pieces becomes */

	/* 0, or a negative PQC_E* and e. Called by many threads; a is the thread's own. */
	int (*work)(void *arg, struct aead *a, struct piece *p, struct err *e);
	void *work_arg;
	const struct suite *suite;
	unsigned threads;
	uint64_t plain_size; /* for progress */
	/* Compute the plaintext's SHA-256; it is what comes in (plain_in) or what goes out. */
	bool hash, plain_in;
	progress_fn *progress;
	void *progress_arg;
	struct halt *halt; /* set when it fails, so that no thread waits on */
};

struct pipeline_result {
	uint64_t n, plain_size, dst_len;
	uint8_t root[HASH_MAX];	    /* over the leaves */
	uint8_t sha256[SHA256_LEN]; /* if it was asked for */
	uint8_t tail[PQX_TAIL_MAX]; /* of a stream */
	size_t tail_len;
};

int pipeline_run(const struct pipeline_opts *o, struct pipeline_result *r,
		 struct err *e) MUST_CHECK;

#endif
