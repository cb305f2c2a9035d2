/* Taking the next piece of the input. */
#include <string.h>

#include "base/file.h"
#include "client/pipeline_impl.h"

static bool stopped(struct pipeline *pl)
{
	bool s;

	pthread_mutex_lock(&pl->put);
	s = pl->stop != 0;
	pthread_mutex_unlock(&pl->put);
	return s;
}

/* Piece i of what has random access. Needs no lock. */
static int read_at(const struct pipeline *pl, struct worker *w, struct piece *p, struct err *e)
{
	const struct pipeline_opts *o = pl->o;
	const uint64_t off = p->i * o->src_piece;
	size_t got;
	int r;

	p->in_len = p->final ? (size_t)(o->src_len - off) : o->src_piece;
	if ((p->in = source_at(o->src, o->src_off + off)) != NULL)
		return 0;
	p->in = w->in;
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

/*
 * Memory for the next piece's output: the sink's own, or of ours, aligned in a block as its place
 * in the file is (file_pwrite_direct).
 */
static uint8_t *out_at(const struct worker *w)
{
	const struct pipeline_opts *o = w->pl->o;
	const uint64_t off = o->dst_off + w->pl->next * o->dst_piece;
	uint8_t *there = sink_at(o->dst, off, o->dst_max);

	return there != NULL ? there : w->out + (o->dst->base + off) % FILE_BLOCK;
}

int pipeline_take(struct worker *w, struct piece *p, struct err *e)
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
