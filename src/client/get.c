/*
 * Get: parts come into a few slots; workers hash, open and write them into a
 * temporary file beside the destination, which takes its name only after the
 * root has been compared with the signed manifest. What was written is noted in the
 * journal after an fdatasync, so that a killed client goes on from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/text.h"
#include "client/journal.h"
#include "client/link.h"
#include "client/retry.h"
#include "container/manifest.h"
#include "container/part.h"
#include "container/tree.h"
#include "crypto/secmem.h"
#include "net/loop.h"
#include "protocol/partset.h"

#define SLOT_MAX     6
#define SLOT_BYTES   (5u << 20)
#define FLUSH_BYTES  (64u << 20)
#define BATCH_MAX    1024
#define FETCH_RANGES 1024
#define PROGRESS_MS  100
#define TICK_MS	     1000

struct get;

struct slot {
	struct job job;
	struct get *g;
	uint8_t *p;
	struct frame f;
	uint8_t leaf[HASH_MAX];
	bool busy;
	int rc;
	struct err e;
};

struct batch {
	uint64_t part[BATCH_MAX];
	uint8_t leaf[BATCH_MAX * HASH_MAX];
	size_t count;
	uint64_t bytes;
};

struct get {
	const struct client_opts *o;
	const struct url *u;
	const struct get_opts *go;
	struct transfer_result *res;
	struct err *e;
	/* the file */
	bool known; /* h, k, mf are set */
	struct pqx_header h;
	struct pqx_keys k;
	struct pqx_manifest mf;
	size_t capacity;
	struct journal *journal; /* NULL when the destination is a stream */
	struct partset have;	 /* written and, for a file, noted in the journal */
	struct tree tree;	 /* of a stream: the leaves so far */
	/* the destination */
	int dirfd, fd;
	char *path;	  /* own copy */
	const char *base; /* within path */
	char tmp[300];
	struct retry retry;
	struct pool *pool, *disk;
	struct worker {
		struct aead *aead;
		uint8_t *plain;
	} * workers;
	size_t worker_count;
	/* one connection */
	struct link link;
	struct loop *loop;
	struct watch w;
	struct timer tick;
	struct slot slot[SLOT_MAX], *filling;
	size_t slots;
	struct ws_event pending;
	struct partset asked; /* of the FETCH under way */
	size_t range;
	uint64_t next, sequence; /* the frame that must come next */
	struct batch fill, flushing;
	struct job flush_job;
	bool flush_running, finished;
	size_t busy;
	uint64_t heard, began, shown;
	int flush_rc, rc;
	struct err flush_err;
};

static uint64_t parts(const struct get *g)
{
	return g->mf.n;
}

static void finish(struct get *g, int rc)
{
	if (g->finished)
		return;
	g->finished = true;
	g->rc = rc;
	if (rc != 0 && g->e->msg[0] == '\0')
		err_set(g->e, rc, "%s", err_meaning(rc));
	loop_stop(g->loop);
}

static void report(struct get *g, bool now)
{
	uint64_t at = clock_ms(), total = g->mf.plain_size;
	uint64_t done = (partset_count(&g->have) + g->fill.count + g->flushing.count) * g->capacity;
	struct progress p = {.done = done < total ? done : total, .total = total};

	if (g->o->progress == NULL || (!now && at - g->shown < PROGRESS_MS))
		return;
	g->shown = at;
	p.resumed = g->res->resumed_bytes;
	g->o->progress(g->o->arg, &p);
}

/* ---- a part, on a worker ---- */

static void slot_run(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct get *g = s->g;
	struct worker *w = &g->workers[j->worker];
	struct span sealed = {s->p, s->f.length};
	size_t n;

	s->rc = pqx_part_open(w->aead, &g->h, &g->k, s->f.part, s->f.part + 1 == parts(g), &sealed,
			      w->plain, &n);
	if (s->rc == 0)
		s->rc = pqx_leaf(g->h.suite, s->f.part, &sealed, s->leaf);
	if (s->rc != 0)
		err_set(&s->e, s->rc, "part %llu does not open: it was damaged or edited",
			(unsigned long long)s->f.part);
	else if (g->journal == NULL)
		s->rc = file_write(g->fd, w->plain, n, &s->e);
	else
		s->rc = file_pwrite(g->fd, w->plain, n, s->f.part * g->capacity, &s->e);
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

static void pump(struct get *g);

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
	if (g->flush_rc != 0 && !g->finished) {
		*g->e = g->flush_err;
		finish(g, g->flush_rc);
	}
	pump(g);
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
	retry_progress(&g->retry);
	if (g->journal == NULL) {
		if ((r = tree_add(&g->tree, s->leaf)) != 0)
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
	if (s->rc == 0)
		s->rc = note(g, s);
	if (s->rc != 0 && !g->finished) {
		*g->e = s->e;
		finish(g, s->rc);
	}
	pump(g);
}

/* ---- the connection ---- */

/* Ask for what is missing; at most FETCH_RANGES ranges at a time. */
static int fetch(struct get *g)
{
	struct msg m = {.type = MSG_FETCH, .has = 1u << TAG_RANGES};
	struct buf b = BUF_INIT(PARTSET_MAX * 16);
	int r = partset_complement(&g->have, parts(g), &g->asked);

	if (r == 0 && g->asked.n > FETCH_RANGES)
		g->asked.n = FETCH_RANGES;
	partset_encode(&g->asked, &b);
	m.ranges = (struct span){b.p, b.len};
	if (r == 0 && (r = buf_error(&b)) == 0)
		r = link_queue(&g->link, &m);
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
		return err_set(g->e, PQC_EPROTO, "the server sent a part that was not asked for");
	final = f.part + 1 == parts(g);
	if (final != (f.flags == FRAME_FINAL) || (!final && f.length != g->h.part_size))
		return err_set(g->e, PQC_EPROTO, "the server sent a part of the wrong size");
	g->sequence++;
	if (++g->next >= g->asked.r[g->range].first + g->asked.r[g->range].count &&
	    ++g->range < g->asked.n)
		g->next = g->asked.r[g->range].first;
	s->busy = true;
	s->f = f;
	s->e.msg[0] = '\0';
	g->filling = s;
	ws_data_into(g->link.ws, s->p);
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
	g->busy++;
	s->job = (struct job){.run = slot_run, .done = slot_done};
	pool_submit(g->pool, &s->job);
}

static int on_event(struct get *g, struct ws_event *ev)
{
	struct msg m;

	switch (ev->type) {
	case WS_EV_DATA:
		return on_data(g, ev);
	case WS_EV_DATA_END:
		on_data_end(g);
		return 0;
	case WS_EV_PING:
		return link_pong(&g->link, ev);
	case WS_EV_CLOSE:
		return PQC_ECLOSED;
	case WS_EV_MESSAGE:
		if (session_open(g->link.session, ev->p, ev->n, &m) != 0)
			return err_set(g->e, PQC_EPROTO, "a message from the server does not open");
		return link_error(&m, g->e);
	default:
		return 0;
	}
}

static int read_events(struct get *g, unsigned *want)
{
	struct ws_event ev;
	unsigned code;
	uint8_t *at;
	size_t n;
	ssize_t got;
	int r;

	if (g->pending.type == WS_EV_DATA) {
		ev = g->pending;
		if ((r = on_data(g, &ev)) != 0)
			return r;
	}
	for (;;) {
		if (g->pending.type == WS_EV_DATA) {
			*want = 0; /* no room: workers first */
			return PQC_EAGAIN;
		}
		if ((r = ws_next(g->link.ws, &ev, &code)) != 0 || (r = on_event(g, &ev)) != 0)
			return r;
		if (ev.type != WS_EV_NONE)
			continue;
		ws_want(g->link.ws, &at, &n);
		if ((got = stream_read(g->link.st, at, n, want)) < 0)
			return (int)got;
		g->heard = clock_ms();
		ws_got(g->link.ws, (size_t)got);
	}
}

/* All that was asked for is written: note it, ask for more, or be done. */
static int next_step(struct get *g)
{
	if (!all_arrived(g) || g->busy > 0 || g->filling != NULL)
		return 0;
	maybe_flush(g, true);
	if (g->flush_running)
		return 0;
	if (partset_next_missing(&g->have, 0) < parts(g))
		return fetch(g);
	finish(g, 0);
	return 0;
}

static void pump(struct get *g)
{
	unsigned want_read = LOOP_READ, want_write = 0;
	int r, w = 0;

	if (g->finished)
		return;
	if (g->journal != NULL)
		maybe_flush(g, false);
	r = read_events(g, &want_read);
	if (r == PQC_EAGAIN || (r == PQC_ECLOSED && all_arrived(g)))
		r = next_step(g);
	if (r == 0 && !g->finished) {
		w = link_flush(&g->link, &want_write);
		if (w != PQC_EAGAIN)
			r = w;
	}
	if (r == 0 && !g->finished)
		r = loop_watch_set(g->loop, &g->w, want_read | (w == PQC_EAGAIN ? want_write : 0));
	report(g, false);
	if (r != 0)
		finish(g, r);
}

static void on_ready(struct watch *w, unsigned ready)
{
	struct get *g = (struct get *)((char *)w - offsetof(struct get, w));

	if (ready != 0 && w->events == 0)
		finish(g, PQC_ECLOSED); /* a hang-up while the workers are behind */
	else
		pump(g);
}

static void on_tick(struct timer *t)
{
	struct get *g = (struct get *)((char *)t - offsetof(struct get, tick));

	loop_timer_set(g->loop, t, TICK_MS);
	report(g, false);
	if (g->o->cancel != NULL && atomic_load(g->o->cancel)) {
		err_set(g->e, PQC_EINTERRUPTED, "interrupted");
		finish(g, PQC_EINTERRUPTED);
	} else if (clock_ms() - g->heard > g->o->idle_ms && g->busy == 0 && !g->flush_running) {
		err_set(g->e, PQC_ETIMEOUT, "%s has been silent for %u s", g->u->host_port,
			g->o->idle_ms / 1000);
		finish(g, PQC_ETIMEOUT);
	}
}

static void on_wake(void *arg)
{
	struct get *g = arg;

	pool_reap(g->pool);
	pool_reap(g->disk);
}

static void notify(void *loop)
{
	loop_wake(loop);
}

/* The data phase; what arrived before it broke is kept. */
static int run(struct get *g)
{
	int r;

	g->finished = false;
	g->pending.type = WS_EV_NONE;
	g->filling = NULL;
	g->sequence = 0;
	g->asked.n = g->range = 0;
	g->heard = clock_ms();
	g->e->msg[0] = '\0';
	g->w = (struct watch){.fd = stream_fd(g->link.st), .events = LOOP_READ, .cb = on_ready};
	g->tick.cb = on_tick;
	loop_on_wake(g->loop, on_wake, g);
	ws_limits(g->link.ws, MSG_MAX, g->h.part_size);
	if ((r = loop_watch_add(g->loop, &g->w)) != 0)
		return r;
	loop_timer_set(g->loop, &g->tick, TICK_MS);
	pump(g);
	if (!g->finished && (r = loop_run(g->loop)) != 0)
		finish(g, r);
	loop_watch_del(g->loop, &g->w);
	loop_timer_del(g->loop, &g->tick);
	if (g->filling != NULL)
		g->filling->busy = false;
	while (g->busy > 0 || g->flush_running || (g->fill.count > 0 && g->flush_rc == 0)) {
		if (g->busy == 0)
			maybe_flush(g, true);
		if (loop_once(g->loop, -1) != 0)
			break;
	}
	return g->rc;
}

/* ---- opening ---- */

/* The reply describes an object: check its manifest before a byte of it is asked for. */
static int take_object(struct get *g, const struct msg *reply, struct err *e)
{
	struct pqx_header h;
	struct pqx_manifest mf;
	uint8_t id[ID_LEN];
	int r;

	if (!msg_has(reply, TAG_HEADER) || !msg_has(reply, TAG_DEK) ||
	    !msg_has(reply, TAG_MANIFEST))
		return err_set(e, PQC_EPROTO, "the server's answer lacks what a get needs");
	if (pqx_header_decode(reply->header.p, &h) != 0 ||
	    pqx_keys_derive(&h, reply->dek.p, &g->k) != 0 ||
	    pqx_manifest_check(&h, &g->k, reply->manifest.p, reply->manifest.n, &mf) != 0 ||
	    !mf.is_signed)
		return err_set(e, PQC_EINTEGRITY,
			       "the object's header or manifest is damaged or not signed");
	if ((r = identity_id(mf.suite, mf.sender_pk, id)) != 0)
		return r;
	if (g->go->from != NULL && memcmp(g->go->from, id, ID_LEN) != 0)
		return err_set(e, PQC_EREFUSED,
			       "the object was sent by another identity than the one asked for");
	if (g->known && (memcmp(h.raw, g->h.raw, PQX_HEADER_LEN) != 0 || mf.n != g->mf.n ||
			 memcmp(mf.root, g->mf.root, mf.suite->hash_len) != 0)) {
		if (g->journal == NULL)
			return err_set(e, PQC_ECHANGED,
				       "the object was replaced while it was read");
		partset_clear(&g->have);
		g->known = false;
	}
	g->h = h;
	g->mf = mf;
	memcpy(g->res->sender_id, id, ID_LEN);
	memcpy(g->res->file_id, h.file_id, 32);
	g->res->size = mf.plain_size;
	g->res->parts = mf.n;
	return 0;
}

static int make_workers(struct get *g)
{
	struct pool_opts po = {.threads = g->o->threads, .notify = notify, .arg = g->loop};
	struct pool_opts one = {.threads = 1, .notify = notify, .arg = g->loop};

	/* One worker writes a stream in order. */
	if (g->journal == NULL || po.threads == 0)
		po.threads = 1;
	g->capacity = pqx_part_capacity(g->h.part_size);
	g->worker_count = po.threads;
	if ((g->workers = calloc(g->worker_count, sizeof(*g->workers))) == NULL)
		return PQC_ENOMEM;
	for (size_t i = 0; i < g->worker_count; i++) {
		g->workers[i].aead = aead_new();
		g->workers[i].plain = malloc(g->capacity);
		if (g->workers[i].aead == NULL || g->workers[i].plain == NULL)
			return PQC_ENOMEM;
	}
	g->slots = SLOT_BYTES / g->h.part_size;
	g->slots = g->slots < 2 ? 2 : g->slots > SLOT_MAX ? SLOT_MAX : g->slots;
	for (size_t i = 0; i < g->slots; i++) {
		g->slot[i].g = g;
		if ((g->slot[i].p = malloc(g->h.part_size)) == NULL)
			return PQC_ENOMEM;
	}
	return pool_new(&g->pool, &po) != 0 ? PQC_ENOMEM : pool_new(&g->disk, &one);
}

static void drop_workers(struct get *g)
{
	pool_free(g->pool);
	pool_free(g->disk);
	g->pool = g->disk = NULL;
	for (size_t i = 0; g->workers != NULL && i < g->worker_count; i++) {
		aead_free(g->workers[i].aead);
		if (g->workers[i].plain != NULL)
			secret_wipe(g->workers[i].plain, g->capacity);
		free(g->workers[i].plain);
	}
	free(g->workers);
	g->workers = NULL;
	for (size_t i = 0; i < g->slots; i++)
		free(g->slot[i].p);
	g->slots = 0;
}

/* What an earlier run wrote into the temporary file, as far as the journal vouches for it. */
static int load_journal(struct get *g, struct err *e)
{
	uint8_t leaf[HASH_MAX], print[SHA512_LEN];
	struct span root = {g->mf.root, g->mf.suite->hash_len};
	const struct pqx_header *was = journal_header(g->journal);
	struct stat st;
	int r;

	if ((r = sha512(&root, 1, print)) != 0)
		return r;
	if (was == NULL || memcmp(was->raw, g->h.raw, PQX_HEADER_LEN) != 0 ||
	    memcmp(journal_fingerprint(g->journal), print, 32) != 0 || fstat(g->fd, &st) != 0 ||
	    st.st_size == 0) {
		if (ftruncate(g->fd, 0) != 0)
			return err_sys(e, errno, "%s", g->path);
		return journal_start(g->journal, &g->h, print, e);
	}
	for (uint64_t i = 0; i < g->mf.n && i < journal_slots(g->journal); i++)
		if (journal_leaf(g->journal, i, leaf) == 0 &&
		    (r = partset_add(&g->have, i, 1)) != 0)
			return r;
	g->res->resumed_bytes = partset_count(&g->have) * g->capacity;
	if (g->res->resumed_bytes > 0 && g->o->notice != NULL)
		g->o->notice(g->o->arg, "resume", "a part of this file is here already");
	return 0;
}

static int first_time(struct get *g, struct err *e)
{
	int r;

	drop_workers(g);
	if ((r = make_workers(g)) != 0)
		return err_set(e, r, "out of memory");
	tree_init(&g->tree, g->h.suite);
	if (g->journal != NULL && (r = load_journal(g, e)) != 0)
		return r;
	/* Room for the whole file, or a clear word now rather than after an hour. */
	if (g->journal != NULL && g->mf.plain_size > 0 &&
	    fallocate(g->fd, 0, 0, (off_t)g->mf.plain_size) != 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return err_sys(e, errno, "%s: %llu bytes", g->path,
			       (unsigned long long)g->mf.plain_size);
	g->known = true;
	return 0;
}

static int attempt(struct get *g, struct err *e)
{
	struct msg req = {.type = MSG_REQUEST, .op = OP_GET, .has = 1u << TAG_OP | 1u << TAG_NAME},
		   reply;
	int r;

	req.name = (struct span){g->u->name, strlen(g->u->name)};
	if ((r = link_open(&g->link, g->o, g->u, &req, &reply, e)) == 0 &&
	    (r = take_object(g, &reply, e)) == 0 && (g->known || (r = first_time(g, e)) == 0))
		r = run(g);
	memcpy(g->res->server_id, g->link.server_id, ID_LEN);
	link_close(&g->link);
	return r;
}

/* ---- the destination ---- */

static int journal_key(const struct get *g, uint8_t key[32])
{
	uint8_t h[SHA512_LEN];
	struct stat st;
	struct span in[] = {
		{"get", 4},
		{&st.st_dev, sizeof(st.st_dev)},
		{&st.st_ino, sizeof(st.st_ino)},
		{g->base, strlen(g->base) + 1},
		{g->u->host_port, strlen(g->u->host_port) + 1},
		{g->u->name, strlen(g->u->name) + 1},
		{identity_public(g->o->identity)->id, ID_LEN},
	};
	int r;

	if (fstat(g->dirfd, &st) != 0)
		return PQC_EIO;
	if ((r = sha512(in, sizeof(in) / sizeof(in[0]), h)) == 0)
		memcpy(key, h, 32);
	return r;
}

static int open_destination(struct get *g, struct err *e)
{
	char *slash, hex[17];
	uint8_t key[32];
	struct stat st;
	int r;

	if (g->go->path == NULL) {
		g->fd = g->go->fd;
		return 0;
	}
	if ((g->path = strdup(g->go->path)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	slash = strrchr(g->path, '/');
	g->base = slash != NULL ? slash + 1 : g->path;
	if (slash != NULL)
		*slash = '\0';
	g->dirfd = open(slash == NULL	     ? "."
			: g->path[0] == '\0' ? "/"
					     : g->path,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (slash != NULL)
		*slash = '/';
	if (g->dirfd < 0)
		return err_sys(e, errno, "the directory of %s", g->path);
	if (!g->go->replace && fstatat(g->dirfd, g->base, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, PQC_EEXIST, "%s is there already; use --force to replace it",
			       g->path);
	if ((r = journal_key(g, key)) != 0)
		return err_set(e, r, "cannot examine the directory of %s", g->path);
	hex_encode(key, 8, hex);
	snprintf(g->tmp, sizeof(g->tmp), ".pqc-get-%s.part", hex);
	if ((r = journal_open(g->o->state_dir, JOURNAL_GET, key, &g->journal, e)) != 0)
		return r;
	g->fd = openat(g->dirfd, g->tmp, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (g->fd < 0)
		return err_sys(e, errno, "cannot write beside %s", g->path);
	return 0;
}

/* Everything is written: compare the root, then let the file have its name. */
static int publish(struct get *g, struct err *e)
{
	uint8_t leaf[HASH_MAX], root[HASH_MAX];
	mode_t mask = umask(077);
	int r = 0;

	umask(mask);
	for (uint64_t i = 0; g->journal != NULL && r == 0 && i < parts(g); i++)
		if ((r = journal_leaf(g->journal, i, leaf)) == 0)
			r = tree_add(&g->tree, leaf);
	if (r == 0)
		r = tree_root(&g->tree, root);
	if (r != 0)
		return err_set(e, r, "the journal of %s is not whole; try again", g->path);
	if (memcmp(root, g->mf.root, g->mf.suite->hash_len) != 0)
		return err_set(e, PQC_EINTEGRITY, "what arrived is not what the sender signed");
	if (g->journal == NULL)
		return 0;
	if (ftruncate(g->fd, (off_t)g->mf.plain_size) != 0 || fchmod(g->fd, 0666 & ~mask) != 0 ||
	    fsync(g->fd) != 0)
		return err_sys(e, errno, "%s", g->path);
	if (renameat2(g->dirfd, g->tmp, g->dirfd, g->base, g->go->replace ? 0 : RENAME_NOREPLACE) !=
	    0)
		return errno == EEXIST ? err_set(e, PQC_EEXIST, "%s appeared meanwhile", g->path)
				       : err_sys(e, errno, "%s", g->path);
	if ((r = file_fsync_dir(g->dirfd, e)) != 0)
		return r;
	return journal_remove(g->journal, e);
}

/* Nothing that could be used again is left behind. */
static void clean_up(struct get *g, int r)
{
	struct err ignored;

	if (g->journal == NULL || r == 0)
		return;
	if (r == PQC_EINTEGRITY || partset_count(&g->have) == 0) {
		unlinkat(g->dirfd, g->tmp, 0);
		(void)!journal_remove(g->journal, &ignored);
	}
}

static void get_free(struct get *g)
{
	drop_workers(g);
	loop_free(g->loop);
	if (g->journal != NULL && g->fd >= 0)
		close(g->fd);
	journal_free(g->journal);
	if (g->dirfd >= 0)
		close(g->dirfd);
	partset_free(&g->have);
	partset_free(&g->asked);
	free(g->path);
	secret_wipe(g, sizeof(*g));
	free(g);
}

int client_get(const struct client_opts *o, const struct url *u, const struct get_opts *go,
	       struct transfer_result *res, struct err *e)
{
	struct get *g = calloc(1, sizeof(*g));
	int r;

	memset(res, 0, sizeof(*res));
	buf_init(&res->receipt, 65536);
	if (g == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	g->o = o;
	g->u = u;
	g->go = go;
	g->res = res;
	g->e = e;
	g->dirfd = g->fd = -1;
	g->began = clock_ms();
	retry_init(&g->retry, o);
	if ((r = open_destination(g, e)) != 0)
		goto out;
	if ((r = loop_new(&g->loop)) != 0) {
		err_set(e, r, "out of memory");
		goto out;
	}
	while ((r = attempt(g, e)) != 0) {
		if ((r = retry_wait(&g->retry, r, e)) != 0)
			goto out;
		res->reconnects++;
	}
	res->seconds_received = (double)(clock_ms() - g->began) / 1000;
	report(g, true);
	if ((r = publish(g, e)) == 0)
		res->seconds = (double)(clock_ms() - g->began) / 1000;
out:
	clean_up(g, r);
	get_free(g);
	return r;
}
