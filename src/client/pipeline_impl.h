/* The pipeline: what its files share. */
#ifndef PQC_CLIENT_PIPELINE_IMPL_H
#define PQC_CLIENT_PIPELINE_IMPL_H

#include <pthread.h>

#include "client/pipeline.h"

/* A leaf that waits until those before it are in the tree. */
struct slot {
	bool full;
	size_t plain_len, out_len;
	uint8_t leaf[HASH_MAX];
};

struct pipeline {
	const struct pipeline_opts *o;

	/* The input, under `take`. */
	pthread_mutex_t take;
	uint64_t next;	/* piece */
	uint64_t count; /* of pieces; unknown before the end of a stream */
	bool eof;	/* the stream has been read to its end, carry included */
	uint8_t *carry; /* bytes of a stream that were read ahead of their piece; tail_max + 1 */
	size_t carried;
	size_t tail_len; /* once the last piece was taken, the tail is carry[0..tail_len) */

	/* The output, under `put`. */
	pthread_mutex_t put;
	pthread_cond_t turned;
	uint64_t turn;	   /* the piece whose leaf comes next */
	unsigned window;   /* pieces from turn on that may be put: 1 when they must go in order */
	struct slot *ring; /* window slots */
	struct tree tree;
	uint64_t plain_done, out_done;
	int stop; /* 0, or the first error */
	struct err err;

	/* The plaintext's hash, by the thread whose turn it is; the turn under `put`. */
	struct sha256 *sha; /* NULL: not wanted */
	pthread_cond_t hashed;
	uint64_t hash_turn;
};

struct worker {
	struct pipeline *pl;
	struct aead *aead;
	uint8_t *in, *out; /* the input one piece and what may be behind it, the output one piece */
	size_t in_cap, out_cap;
	pthread_t thread;
};

/* pipeline_take.c: 0 with a piece, 1 when there are no more or all stop, or an error. */
int pipeline_take(struct worker *w, struct piece *p, struct err *e) MUST_CHECK;
/* pipeline_put.c: the work and, if it is wanted, the plaintext's hash; as pipeline_take. */
int pipeline_work(struct worker *w, struct piece *p, struct err *e) MUST_CHECK;
/* pipeline_put.c: what became of it goes where it belongs, in its turn. */
int pipeline_put(struct pipeline *pl, const struct piece *p, struct err *e) MUST_CHECK;

#endif
