#include "client/pipeline.h"
#include "base/file.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secmem.h"

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
};

struct worker {
	struct pipeline *pl;
	struct aead *aead;
	uint8_t *in, *out; /* the input one piece and what may be behind it, the output one piece */
	size_t in_cap, out_cap;
	pthread_t thread;
};

static bool stopped(struct pipeline *pl)
{
	bool s;

	pthread_mutex_lock(&pl->put);
	s = pl->stop != 0;
	pthread_mutex_unlock(&pl->put);
	return s;
}

/* The first error is the one that is reported; all threads stop. */
static void fail(struct pipeline *pl, int r, const struct err *e)
{
	pthread_mutex_lock(&pl->put);
	if (pl->stop == 0) {
		pl->stop = r;
		pl->err = *e;
		pthread_cond_broadcast(&pl->turned);
	}
	pthread_mutex_unlock(&pl->put);
}

/* ### Taking a piece ### */

/* Piece i of a regular file. Needs no lock. */
static int read_at(const struct pipeline *pl, struct worker *w, struct piece *p, struct err *e)
{
	const struct pipeline_opts *o = pl->o;
	const uint64_t off = p->i * o->src_piece;
	size_t got;
	int r;

	p->in_len = p->final ? (size_t)(o->src_len - off) : o->src_piece;
	if ((r = source_read(o->src, w->in, p->in_len, o->src_off + off, &got, e)) != 0)
		return r;
	if (got != p->in_len)
		return err_set(e, PQC_ECHANGED, "the input became shorter while it was read");
	return 0;
}

/*
 * The next piece of a stream. It is known not to be the last when more bytes
 * follow it than a tail can have: so one byte more than that is read ahead.
 */
static int read_next(struct pipeline *pl, struct worker *w, struct piece *p, struct err *e)
{
	const struct pipeline_opts *o = pl->o;
	const size_t want = o->src_piece + o->tail_max + 1;
	size_t n = pl->carried, got, tail = 0, body;
	int r;

	memcpy(w->in, pl->carry, n);
	if (!pl->eof) {
		if ((r = source_read(o->src, w->in + n, want - n, 0, &got, e)) != 0)
			return r;
		n += got;
		pl->eof = n < want;
	}
	body = n;
	if (pl->eof) {
		if (o->tail_len != NULL && (r = o->tail_len(w->in, n, &tail)) != 0)
			return err_set(e, r, "the end of the container is damaged or missing");
		body = n - tail;
	}
	p->final = pl->eof && body <= o->src_piece;
	p->in_len = p->final ? body : o->src_piece;
	pl->carried = n - p->in_len;
	memcpy(pl->carry, w->in + p->in_len, pl->carried);
	if (p->final) {
		pl->count = p->i + 1;
		pl->tail_len = tail;
	}
	return 0;
}

/* Memory for the next piece's output, aligned in a block as its place in the file is (file_pwrite_direct). */
static uint8_t *out_at(const struct worker *w)
{
	const struct pipeline_opts *o = w->pl->o;

	return w->out + (o->dst->base + o->dst_off + w->pl->next * o->dst_piece) % FILE_BLOCK;
}

/* 0 with a piece, 1 when there are no more, or an error. */
static int take(struct worker *w, struct piece *p, struct err *e)
{
	struct pipeline *pl = w->pl;
	const bool stream = !pl->o->src->seekable;
	int r = 0;

	pthread_mutex_lock(&pl->take);
	if (pl->next == pl->count || stopped(pl)) {
		r = 1;
	} else {
		*p = (struct piece){.i = pl->next, .in = w->in, .out = out_at(w)};
		p->final = p->i == pl->count - 1;
		if (stream)
			r = read_next(pl, w, p, e);
		if (r == 0)
			pl->next++;
		else
			pl->count = pl->next; /* nobody goes on after an error */
	}
	pthread_mutex_unlock(&pl->take);
	if (r == 0 && !stream)
		r = read_at(pl, w, p, e);
	return r;
}

/* ### Putting its result ### */

/* Under `put`: move the leaves whose turn it is from the ring to the tree. */
static int advance(struct pipeline *pl, struct err *e)
{
	struct slot *s;
	int r;

	while ((s = &pl->ring[pl->turn % pl->window])->full) {
		if ((r = tree_add(&pl->tree, s->leaf)) != 0)
			return err_set(e, r, "the content tree could not be computed");
		pl->plain_done += s->plain_len;
		pl->out_done += s->out_len;
		s->full = false;
		pl->turn++;
	}
	pthread_cond_broadcast(&pl->turned);
	if (pl->o->progress != NULL &&
	    pl->o->progress(pl->o->progress_arg, pl->plain_done, pl->o->plain_size) != 0)
		return err_set(e, PQC_EINTERRUPTED, "interrupted");
	return 0;
}

static int put(struct pipeline *pl, const struct piece *p, struct err *e)
{
	const struct pipeline_opts *o = pl->o;
	struct slot *s = &pl->ring[p->i % pl->window];
	int r = 0;

	if (o->dst->seekable) {
		r = sink_write(o->dst, p->out, p->out_len, o->dst_off + p->i * o->dst_piece, e);
		if (r != 0)
			return r;
	}
	pthread_mutex_lock(&pl->put);
	while (pl->stop == 0 && p->i >= pl->turn + pl->window)
		pthread_cond_wait(&pl->turned, &pl->put);
	if (pl->stop != 0)
		goto out;
	if (!o->dst->seekable) {
		/* It is this thread's turn and nobody else's: the lock need not be held. */
		pthread_mutex_unlock(&pl->put);
		r = sink_write(o->dst, p->out, p->out_len, 0, e);
		pthread_mutex_lock(&pl->put);
		if (r != 0)
			goto out;
	}
	*s = (struct slot){.full = true, .plain_len = p->plain_len, .out_len = p->out_len};
	memcpy(s->leaf, p->leaf, HASH_MAX);
	r = advance(pl, e);
out:
	pthread_mutex_unlock(&pl->put);
	return r;
}

/* ### The threads ### */

static void worker_close(struct worker *w)
{
	if (w->in != NULL)
		secret_wipe(w->in, w->in_cap);
	if (w->out != NULL)
		secret_wipe(w->out, w->out_cap);
	free(w->in);
	free(w->out);
	aead_free(w->aead);
}

static int worker_open(struct worker *w, struct pipeline *pl, struct err *e)
{
	const struct pipeline_opts *o = pl->o;

	w->pl = pl;
	w->in_cap = o->src_piece + (o->src->seekable ? 0 : o->tail_max + 1);
	w->out_cap = (o->dst_piece + 2 * FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK;
	w->in = malloc(w->in_cap);
	w->out = aligned_alloc(FILE_BLOCK, w->out_cap);
	w->aead = aead_new();
	if (w->in == NULL || w->out == NULL || w->aead == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for a part");
	return 0;
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct pipeline *pl = w->pl;
	struct err e = {0};
	struct piece p;
	int r;

	while ((r = take(w, &p, &e)) == 0) {
		if ((r = pl->o->work(pl->o->work_arg, w->aead, &p, &e)) != 0)
			break;
		if ((r = put(pl, &p, &e)) != 0)
			break;
	}
	if (r < 0)
		fail(pl, r, &e);
	return NULL;
}

/* Cores this process may use. */
static unsigned cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static unsigned thread_count(const struct pipeline *pl)
{
	unsigned n = pl->o->threads != 0 ? pl->o->threads : cores();

	if (n > SEAL_THREADS_MAX)
		n = SEAL_THREADS_MAX;
	return n < pl->count ? n : (unsigned)pl->count;
}

/*
 * Run w[0..n), the first on this thread. Signals stay with the program's own
 * threads. Fewer threads than wanted is no failure.
 */
static void run_all(struct worker *w, unsigned n)
{
	unsigned started = 1;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (started < n &&
	       pthread_create(&w[started].thread, NULL, worker_run, &w[started]) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	worker_run(&w[0]);
	while (--started > 0)
		pthread_join(w[started].thread, NULL);
}

static int run(struct pipeline *pl, unsigned n, struct err *e)
{
	struct worker *w = calloc(n, sizeof(*w));
	unsigned i = 0;
	int r = 0;

	if (w == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the threads");
	while (r == 0 && i < n)
		r = worker_open(&w[i++], pl, e);
	if (r == 0)
		run_all(w, n);
	while (i-- > 0)
		worker_close(&w[i]);
	free(w);
	if (r == 0 && pl->stop != 0) {
		r = pl->stop;
		if (e != NULL)
			*e = pl->err;
	}
	return r;
}

static int finish(const struct pipeline *pl, struct pipeline_result *r, struct err *e)
{
	int rc;

	memset(r, 0, sizeof(*r));
	r->n = pl->turn;
	r->plain_size = pl->plain_done;
	r->dst_len = pl->out_done;
	r->tail_len = pl->tail_len;
	memcpy(r->tail, pl->carry, pl->tail_len);
	if ((rc = tree_root(&pl->tree, r->root)) != 0)
		return err_set(e, rc, "the content tree could not be computed");
	return 0;
}

/* Pieces of the input, when that is known. */
static uint64_t piece_count(const struct pipeline_opts *o)
{
	uint64_t n;

	if (!o->src->seekable)
		return UINT64_MAX;
	n = o->src_len / o->src_piece + (o->src_len % o->src_piece != 0);
	return n != 0 ? n : 1;
}

int pipeline_run(const struct pipeline_opts *o, struct pipeline_result *r, struct err *e)
{
	struct pipeline pl = {.o = o, .count = piece_count(o)};
	const unsigned n = thread_count(&pl);
	int rc = PQC_ENOMEM;

	pthread_mutex_init(&pl.take, NULL);
	pthread_mutex_init(&pl.put, NULL);
	pthread_cond_init(&pl.turned, NULL);
	tree_init(&pl.tree, o->suite);
	pl.window = o->dst->seekable ? 2 * n : 1;
	pl.ring = calloc(pl.window, sizeof(*pl.ring));
	pl.carry = malloc(o->tail_max + 1);
	if (pl.ring != NULL && pl.carry != NULL)
		rc = run(&pl, n, e);
	else
		err_set(e, rc, "no memory for the pipeline");
	if (rc == 0)
		rc = finish(&pl, r, e);
	if (pl.carry != NULL)
		secret_wipe(pl.carry, o->tail_max + 1);
	free(pl.carry);
	free(pl.ring);
	pthread_cond_destroy(&pl.turned);
	pthread_mutex_destroy(&pl.put);
	pthread_mutex_destroy(&pl.take);
	return rc;
}
