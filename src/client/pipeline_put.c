/* What becomes of a piece: the work, the hash of its plaintext, its place in the output. */
#include <string.h>

#include "client/pipeline_impl.h"

/* ### Hashing its plaintext ### */

/* Is it piece i's turn, waiting for that or not? Not when all stop. */
static bool hash_turn(struct pipeline *pl, uint64_t i, bool wait)
{
	bool mine;

	pthread_mutex_lock(&pl->put);
	while (wait && pl->stop == 0 && pl->hash_turn != i)
		pthread_cond_wait(&pl->hashed, &pl->put);
	mine = pl->stop == 0 && pl->hash_turn == i;
	pthread_mutex_unlock(&pl->put);
	return mine;
}

/*
 * In the order of the pieces. Nobody else touches the hash while it is this piece's turn, so no lock
 * is held, and meanwhile the others seal or open what comes next.
 */
static int hash_piece(struct pipeline *pl, const void *p, size_t n, struct err *e)
{
	int r = sha256_add(pl->sha, p, n);

	if (r != 0)
		return err_set(e, r, "the hash of the plaintext could not be computed");
	pthread_mutex_lock(&pl->put);
	pl->hash_turn++;
	pthread_cond_broadcast(&pl->hashed);
	pthread_mutex_unlock(&pl->put);
	return 0;
}

/*
 * The work and the hash. Plaintext that comes in is hashed first when its turn is there already,
 * else last: so a thread seldom waits.
 */
int pipeline_work(struct worker *w, struct piece *p, struct err *e)
{
	struct pipeline *pl = w->pl;
	const struct pipeline_opts *o = pl->o;
	bool first = pl->sha != NULL && o->plain_in && hash_turn(pl, p->i, false);
	int r;

	if (first && (r = hash_piece(pl, p->in, p->in_len, e)) != 0)
		return r;
	if ((r = o->work(o->work_arg, w->aead, p, e)) != 0 || pl->sha == NULL || first)
		return r;
	if (!hash_turn(pl, p->i, true))
		return 1; /* all stop */
	return hash_piece(pl, o->plain_in ? p->in : p->out, p->plain_len, e);
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
	if (pl->o->halt != NULL && halt_is_set(pl->o->halt))
		return err_set(e, PQC_EINTERRUPTED, "interrupted");
	return 0;
}

int pipeline_put(struct pipeline *pl, const struct piece *p, struct err *e)
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
