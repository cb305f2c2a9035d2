/*
 * The data phase of a get: parts come into a few slots; workers open, hash and write them. What was
 * written is noted in the journal after an fdatasync, so that a killed client goes on from there.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "client/get_impl.h"
#include "container/part.h"

#define FLUSH_BYTES  (64u << 20)
#define FETCH_RANGES 1024
#define PROGRESS_MS  100

static struct get *get_of(struct drive *d)
{
	return (struct get *)d; /* its first member */
}

int get_report(struct get *g, bool now)
{
	uint64_t at = clock_ms(), total = g->mf.plain_size;
	uint64_t done = (partset_count(&g->have) + g->fill.count + g->flushing.count) * g->capacity;
	struct progress p = {.done = done < total ? done : total, .total = total};

	if (!now && at - g->shown < PROGRESS_MS)
		return 0;
	g->shown = at;
	p.resumed = g->res->resumed_bytes;
	return call_progress(&g->d.call, &p, g->d.e);
}

/* ---- a part, on a worker ---- */

/* Where a part's plaintext goes at first: its place in the caller's memory, or ours. */
static uint8_t *plain_at(const struct get *g, const struct worker *w, uint64_t off)
{
	if (g->leaves != NULL)
		return (uint8_t *)g->go->to->data + off; /* get_make_room has seen to the room */
	return w->plain + off % FILE_BLOCK;
}

/* Is it as long as it must be for all parts to make what the manifest says? */
static bool length_ok(const struct get *g, const struct slot *s)
{
	uint64_t left = g->mf.plain_size - s->f.part * g->capacity;
	size_t n;

	return cob_opened_len(s->f.length, &n) == 0 &&
	       n == (left < g->capacity ? left : g->capacity);
}

static void open_part(struct slot *s, struct worker *w)
{
	struct get *g = s->g;
	struct span sealed = {s->p, s->f.length};
	uint8_t *plain = plain_at(g, w, s->f.part * g->capacity);
	size_t n;

	if (g->stream_broken) {
		s->rc = PQC_ECLOSED; /* a part before this one is missing */
		return;
	}
	s->rc = length_ok(g, s) ? pqx_part_open(w->aead, &g->h, &g->k, s->f.part,
						s->f.part + 1 == g->mf.n, &sealed, plain, &n)
				: PQC_EINTEGRITY;
	if (s->rc == 0)
		s->rc = pqx_leaf(g->h.suite, s->f.part, &sealed, s->leaf);
	if (s->rc != 0)
		err_set(&s->e, s->rc, "part %llu does not open: it was damaged or edited",
			(unsigned long long)s->f.part);
	else if ((s->rc = get_write(g, plain, n, s->f.part, &s->e)) != 0)
		call_spoil(&g->d.call, s->rc, &s->e);
	if (g->stream && s->rc != 0) /* else there are other workers, and none that looks */
		g->stream_broken = true;
}

static void slot_run(struct job *j)
{
	struct slot *s = (struct slot *)j;

	s->opened_from = trail_clock();
	open_part(s, &s->g->workers[j->worker]);
	s->opened_to = trail_clock();
}

/* ---- noting what is durable ---- */

static void flush_run(struct job *j)
{
	struct get *g = (struct get *)((char *)j - offsetof(struct get, flush_job));
	size_t hl = g->h.suite->hash_len;

	g->flush_rc = 0;
	if (fdatasync(g->fd) != 0)
		g->flush_rc = err_sys(&g->flush_err, errno, "%s", g->path);
	for (size_t i = 0; g->flush_rc == 0 && i < g->flushing.count; i++)
		g->flush_rc = journal_put(g->journal, g->flushing.part[i],
					  g->flushing.leaf + i * hl, &g->flush_err);
}

static void take_flushed(struct get *g)
{
	for (size_t i = 0; g->flush_rc == 0 && i < g->flushing.count; i++)
		g->flush_rc = partset_add(&g->have, g->flushing.part[i], 1);
	g->flushing.count = 0;
	g->flushing.bytes = 0;
	g->flush_running = false;
}

static void flush_done(struct job *j)
{
	struct get *g = (struct get *)((char *)j - offsetof(struct get, flush_job));

	take_flushed(g);
	if (g->flush_rc != 0 && !g->d.finished) {
		*g->d.e = g->flush_err;
		drive_finish(&g->d, g->flush_rc);
	}
	drive_pump(&g->d);
}

static void maybe_flush(struct get *g, bool now)
{
	if (g->flush_running || g->fill.count == 0 ||
	    (!now && g->fill.bytes < FLUSH_BYTES && g->fill.count < BATCH_MAX / 2))
		return;
	g->flushing = g->fill;
	g->fill.count = 0;
	g->fill.bytes = 0;
	g->flush_running = true;
	g->flush_job = (struct job){.run = flush_run, .done = flush_done};
	pool_submit(g->disk, &g->flush_job);
}

static int note(struct get *g, const struct slot *s)
{
	size_t hl = g->h.suite->hash_len;
	struct batch *b = &g->fill;
	int r;

	g->res->parts_moved++;
	retry_progress(&g->d.call.retry);
	if (g->journal == NULL) {
		if (g->leaves != NULL)
			memcpy(g->leaves + s->f.part * hl, s->leaf, hl);
		else if ((r = tree_add(&g->tree, s->leaf)) != 0)
			return r;
		return partset_add(&g->have, s->f.part, 1);
	}
	b->part[b->count] = s->f.part;
	memcpy(b->leaf + b->count * hl, s->leaf, hl);
	b->count++;
	b->bytes += s->f.length;
	return 0;
}

static void slot_done(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct get *g = s->g;

	s->busy = false;
	g->busy--;
	if (s->rc == 0) {
		trail_work(&g->d.call.trail, WORK_OPEN, s->opened_from, s->opened_to);
		s->rc = note(g, s);
	}
	if (s->rc != 0 && !g->d.finished) {
		*g->d.e = s->e;
		drive_finish(&g->d, s->rc);
	}
	drive_pump(&g->d);
}

/* ---- the connection ---- */

/* Ask for what is missing; at most FETCH_RANGES ranges at a time. */
static int fetch(struct get *g)
{
	struct msg m = {.type = MSG_FETCH, .has = 1u << TAG_RANGES};
	struct buf b = BUF_INIT(PARTSET_MAX * 16);
	int r = partset_complement(&g->have, g->mf.n, &g->asked);

	if (r == 0 && g->asked.n > FETCH_RANGES)
		g->asked.n = FETCH_RANGES;
	partset_encode(&g->asked, &b);
	m.ranges = (struct span){b.p, b.len};
	if (r == 0 && (r = buf_error(&b)) == 0)
		r = link_queue(&g->d.link, &m);
	buf_free(&b);
	g->range = 0;
	g->next = g->asked.n > 0 ? g->asked.r[0].first : 0;
	return r;
}

static bool all_arrived(const struct get *g)
{
	return g->range >= g->asked.n;
}

/* A frame's head: it must be the very part that comes next. False in *room: no slot is free. */
static int begin_part(struct get *g, const struct ws_event *ev, bool *room)
{
	struct slot *s = NULL;
	struct frame f;
	bool final;

	*room = true;
	for (size_t i = 0; i < g->slots && s == NULL; i++)
		if (!g->slot[i].busy)
			s = &g->slot[i];
	if (s == NULL || g->fill.count + g->busy >= BATCH_MAX) {
		*room = false;
		return 0;
	}
	if (all_arrived(g) || frame_decode(ev->head, &f) != 0 || f.part != g->next ||
	    f.sequence != g->sequence || f.length != ev->n || f.length > g->h.part_size)
		return err_set(g->d.e, PQC_EPROTO, "the server sent a part that was not asked for");
	final = f.part + 1 == g->mf.n;
	if (final != (f.flags == FRAME_FINAL) || (!final && f.length != g->h.part_size))
		return err_set(g->d.e, PQC_EPROTO, "the server sent a part of the wrong size");
	g->sequence++;
	if (++g->next >= g->asked.r[g->range].first + g->asked.r[g->range].count &&
	    ++g->range < g->asked.n)
		g->next = g->asked.r[g->range].first;
	s->busy = true;
	s->came_from = trail_clock();
	s->f = f;
	s->e.msg[0] = '\0';
	g->filling = s;
	ws_data_into(g->d.link.ws, s->p);
	return 0;
}

static int on_data(struct get *g, const struct ws_event *ev)
{
	bool room;
	int r = begin_part(g, ev, &room);

	g->pending = *ev;
	if (room)
		g->pending.type = WS_EV_NONE;
	return r;
}

static void on_data_end(struct get *g)
{
	struct slot *s = g->filling;

	g->filling = NULL;
	trail_work(&g->d.call.trail, WORK_RECEIVE, s->came_from, trail_clock());
	g->busy++;
	s->job = (struct job){.run = slot_run, .done = slot_done};
	pool_submit(g->pool, &s->job);
}

static int on_event(struct drive *d, struct ws_event *ev)
{
	struct get *g = get_of(d);
	struct msg m;

	switch (ev->type) {
	case WS_EV_DATA:
		return on_data(g, ev);
	case WS_EV_DATA_END:
		on_data_end(g);
		return 0;
	default:
		if (session_open(d->link.session, ev->p, ev->n, &m) != 0)
			return err_set(d->e, PQC_EPROTO, "a message from the server does not open");
		return link_error(&m, d->e);
	}
}

/* A slot for the part that waits; then, when all that was asked for is written: note it, ask for more, or be done. */
static int step(struct drive *d)
{
	struct get *g = get_of(d);
	struct ws_event ev = g->pending;
	int r = ev.type == WS_EV_DATA ? on_data(g, &ev) : 0;

	if (r != 0)
		return r;
	if (g->journal != NULL)
		maybe_flush(g, false);
	if (!all_arrived(g) || g->busy > 0 || g->filling != NULL)
		return 0;
	maybe_flush(g, true);
	if (g->flush_running)
		return 0;
	if (partset_next_missing(&g->have, 0) < g->mf.n)
		return fetch(g);
	drive_finish(d, 0);
	return 0;
}

static int write_some(struct drive *d, unsigned *want)
{
	return link_flush(&d->link, want);
}

static void reap(struct drive *d)
{
	struct get *g = get_of(d);

	pool_reap(g->pool);
	pool_reap(g->disk);
}

static int show(struct drive *d)
{
	return get_report(get_of(d), false);
}

/* What arrived is noted even when the connection broke. */
static bool busy(struct drive *d)
{
	struct get *g = get_of(d);

	if (g->filling != NULL) {
		g->filling->busy = false; /* it will not be filled any more */
		g->filling = NULL;
	}
	if (g->journal != NULL && g->busy == 0 && g->flush_rc == 0)
		maybe_flush(g, true);
	return g->busy > 0 || g->flush_running;
}

static bool waiting(struct drive *d)
{
	struct get *g = get_of(d);

	return g->busy > 0 || g->flush_running;
}

const struct drive_ops get_drive_ops = {
	.event = on_event,
	.step = step,
	.write = write_some,
	.reap = reap,
	.report = show,
	.waiting = waiting,
	.busy = busy,
};

int get_data(struct get *g)
{
	int r;

	g->pending.type = WS_EV_NONE;
	g->filling = NULL;
	g->sequence = 0;
	g->asked.n = g->range = 0;
	ws_limits(g->d.link.ws, MSG_MAX, g->h.part_size);
	r = drive_run(&g->d);
	return r == PQC_ECLOSED && partset_next_missing(&g->have, 0) >= g->mf.n ? 0 : r;
}
