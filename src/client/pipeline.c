#include "client/pipeline_impl.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "crypto/secmem.h"

/* The first error is the one that is reported; all threads stop. */
static void fail(struct pipeline *pl, int r, const struct err *e)
{
	pthread_mutex_lock(&pl->put);
	if (pl->stop == 0) {
		pl->stop = r;
		pl->err = *e;
		pthread_cond_broadcast(&pl->turned);
		pthread_cond_broadcast(&pl->hashed);
		if (pl->o->halt != NULL)
			atomic_store(&pl->o->halt->set, true);
	}
	pthread_mutex_unlock(&pl->put);
}

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

/* What a thread needs for its input. */
static size_t in_size(const struct pipeline_opts *o)
{
	if (o->src->memory != NULL)
		return 0;
	if (!o->src->seekable)
		return o->src_piece + o->tail_max + 1;
	return o->src_len < o->src_piece ? (size_t)o->src_len : o->src_piece;
}

static int worker_open(struct worker *w, struct pipeline *pl, struct err *e)
{
	const struct pipeline_opts *o = pl->o;

	w->pl = pl;
	w->in_cap = in_size(o);
	w->out_cap = (o->dst_max + 2 * FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK;
	w->in = malloc(w->in_cap + 1);
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

	while ((r = pipeline_take(w, &p, &e)) == 0) {
		if ((r = pipeline_work(w, &p, &e)) != 0)
			break;
		if ((r = pipeline_put(pl, &p, &e)) != 0)
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

	/*
	 * The hash takes one thread at a time, and as long as the rest or longer: one more, and the
	 * others seldom wait for it. Between memory and memory nothing else makes them wait.
	 */
	if (pl->o->hash && (pl->o->src->memory == NULL || pl->o->dst->memory == NULL))
		n++;
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
	if (pl->sha != NULL && (rc = sha256_end(pl->sha, r->sha256)) != 0)
		return err_set(e, rc, "the hash of the plaintext could not be computed");
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
	pthread_cond_init(&pl.hashed, NULL);
	tree_init(&pl.tree, o->suite);
	pl.window = o->dst->seekable ? 2 * n : 1;
	pl.ring = calloc(pl.window, sizeof(*pl.ring));
	pl.carry = malloc(o->tail_max + 1);
	pl.sha = o->hash ? sha256_new() : NULL;
	if (pl.ring != NULL && pl.carry != NULL && (pl.sha != NULL || !o->hash))
		rc = run(&pl, n, e);
	else
		err_set(e, rc, "no memory for the pipeline");
	if (rc == 0)
		rc = finish(&pl, r, e);
	if (pl.carry != NULL)
		secret_wipe(pl.carry, o->tail_max + 1);
	free(pl.carry);
	free(pl.ring);
	sha256_free(pl.sha);
	pthread_cond_destroy(&pl.hashed);
	pthread_cond_destroy(&pl.turned);
	pthread_mutex_destroy(&pl.put);
	pthread_mutex_destroy(&pl.take);
	return rc;
}
