/*
 * Put: workers read, seal, hash and frame parts into a ring of buffers; this
 * thread writes the ring to the connection in order and listens to what the
 * server says. A broken connection empties the ring and starts over with what
 * the server holds.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/pool.h"
#include "client/journal.h"
#include "client/link.h"
#include "client/retry.h"
#include "client/source.h"
#include "container/keyblock.h"
#include "container/manifest.h"
#include "container/part.h"
#include "container/tree.h"
#include "crypto/secmem.h"
#include "net/loop.h"
#include "protocol/sender.h"

#define RING_MAX    8
#define RING_BYTES  (6u << 20)
#define PROGRESS_MS 100
#define TICK_MS	    1000

struct put;

struct slot {
	struct job job;
	struct put *put;
	uint8_t *wire;	 /* WS_HEADER_MAX | frame header | part | tag */
	size_t off, end; /* what is left to write */
	uint64_t part, sequence;
	bool ready, final;
	size_t plain_len;
	int rc;
	struct err e;
};

struct put {
	const struct client_opts *o;
	const struct url *u;
	struct transfer_result *res;
	struct psource *src;
	struct journal *journal;
	struct pqx_header h;
	struct pqx_keys k;
	struct buf keyblock;
	uint32_t part_size;
	size_t capacity; /* plaintext bytes of a part */
	bool fresh;	 /* the server has not been told of this file yet */
	uint64_t parts;	 /* 0: not known yet */
	struct sender *sender;
	struct retry retry;
	struct pool *pool;
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
	struct slot ring[RING_MAX];
	size_t ring_len;
	uint64_t head, tail; /* sequence numbers: next to write, next to fill */
	uint64_t handed;     /* of a stream: parts handed to workers */
	size_t sealing;	     /* jobs under way */
	uint64_t heard, began, shown;
	bool committed, finished, mid_frame;
	int rc;
	struct err *e;
};

/* ---- sealing, on a worker ---- */

static int seal_part(struct slot *s, struct worker *w)
{
	struct put *p = s->put;
	uint8_t leaf[HASH_MAX], mask[4], *head = s->wire + WS_HEADER_MAX, *body = head + FRAME_LEN;
	struct frame f = {.part = s->part, .sequence = s->sequence};
	uint8_t ws[WS_HEADER_MAX];
	struct span plain;
	size_t n, hl;
	int r;

	r = psource_read(p->src, s->part, w->plain, &n, &s->final, &s->e);
	s->plain_len = n;
	plain = (struct span){w->plain, n};
	if (r != 0 ||
	    (r = pqx_part_seal(w->aead, &p->h, &p->k, s->part, s->final, &plain, body, leaf)) !=
		    0 ||
	    (r = journal_put(p->journal, s->part, leaf, &s->e)) != 0)
		return r;
	f.flags = s->final ? FRAME_FINAL : 0;
	f.length = (uint32_t)pqx_part_sealed_len(n);
	frame_encode(&f, head);
	r = session_frame_tag(p->link.session, w->aead, head, leaf, p->h.suite->hash_len,
			      body + f.length);
	if (r != 0 || (r = random_bytes(mask, sizeof(mask))) != 0)
		return r;
	n = FRAME_LEN + f.length + AEAD_TAG;
	ws_mask(head, n, mask, 0);
	hl = ws_header(ws, WS_BINARY, n, mask);
	memcpy(head - hl, ws, hl);
	s->off = WS_HEADER_MAX - hl;
	s->end = WS_HEADER_MAX + n;
	return 0;
}

static void slot_run(struct job *j)
{
	struct slot *s = (struct slot *)j;

	s->rc = seal_part(s, &s->put->workers[j->worker]);
}

/* ---- the connection, on the caller's thread ---- */

static void slot_done(struct job *j);

/* The first to end the connection's loop says why. */
static void finish(struct put *p, int rc)
{
	if (p->finished)
		return;
	p->finished = true;
	p->rc = rc;
	if (rc != 0 && p->e->msg[0] == '\0')
		err_set(p->e, rc, "%s", err_meaning(rc));
	loop_stop(p->loop);
}

static void report(struct put *p, bool now)
{
	uint64_t at = clock_ms(), total = psource_size(p->src),
		 done = sender_received(p->sender) * p->capacity;
	struct progress g = {.done = done < total ? done : total, .total = total};

	if (p->o->progress == NULL || (!now && at - p->shown < PROGRESS_MS))
		return;
	p->shown = at;
	g.resumed = p->res->resumed_bytes;
	g.committing = p->committed;
	p->o->progress(p->o->arg, &g);
}

/* Hand free slots to the workers. */
static int fill(struct put *p)
{
	bool stream = p->parts == 0;
	int r = 0;

	while (r == 0 && p->tail - p->head < p->ring_len) {
		struct slot *s = &p->ring[p->tail % p->ring_len];

		/* A stream goes part by part: only the reader knows whether there is another. */
		if (stream &&
		    (p->sealing > 0 || p->handed >= sender_durable(p->sender) + SOURCE_KEEP))
			break;
		if ((r = sender_next(p->sender, &s->part, &s->sequence)) != 0)
			break;
		s->ready = false;
		s->e.msg[0] = '\0';
		p->handed = s->part + 1;
		p->tail++;
		p->sealing++;
		s->job = (struct job){.run = slot_run, .done = slot_done};
		pool_submit(p->pool, &s->job);
	}
	return r == PQC_EAGAIN || r == PQC_ENOTFOUND ? 0 : r;
}

static int commit(struct put *p)
{
	struct msg m = {.type = MSG_COMMIT, .has = 1u << TAG_MANIFEST};
	struct pqx_manifest mf = {.n = p->parts, .time = clock_unix()};
	struct buf b = BUF_INIT(PQX_MANIFEST_MAX);
	struct tree t;
	uint8_t leaf[HASH_MAX];
	int r;

	if ((r = psource_check(p->src, p->e)) != 0)
		return r;
	tree_init(&t, p->h.suite);
	for (uint64_t i = 0; i < p->parts; i++)
		if ((r = journal_leaf(p->journal, i, leaf)) != 0 || (r = tree_add(&t, leaf)) != 0)
			return r;
	mf.plain_size = p->res->size;
	if ((r = tree_root(&t, mf.root)) == 0 &&
	    (r = pqx_manifest_make(&p->h, &p->k, p->o->identity, &mf, &b)) == 0) {
		m.manifest = (struct span){b.p, b.len};
		r = link_queue(&p->link, &m);
	}
	buf_free(&b);
	p->committed = r == 0;
	report(p, true);
	return r;
}

/* Write what can be written: a frame that has begun, control messages, frames that are ready. */
static int write_ring(struct put *p, unsigned *want)
{
	for (;;) {
		struct slot *s = &p->ring[p->head % p->ring_len];
		ssize_t n;
		int r;

		if (!p->mid_frame && (r = link_flush(&p->link, want)) != 0)
			return r;
		if (p->head == p->tail || !s->ready)
			return 0;
		p->mid_frame = true;
		if ((n = stream_write(p->link.st, s->wire + s->off, s->end - s->off, want)) < 0)
			return (int)n;
		s->off += (size_t)n;
		if (s->off < s->end)
			continue;
		p->mid_frame = false;
		p->head++;
		p->res->parts_moved++;
		if ((r = fill(p)) != 0)
			return r;
	}
}

static int on_ack(struct put *p, const struct msg *m)
{
	uint64_t before = sender_durable(p->sender);
	int r = sender_acked(p->sender, m);

	if (r != 0)
		return err_set(p->e, r, "the server acknowledged what was not sent");
	retry_progress(&p->retry);
	if (sender_durable(p->sender) > before)
		psource_release(p->src, sender_durable(p->sender));
	if (p->parts != 0 && sender_received(p->sender) == p->parts &&
	    p->res->seconds_received == 0)
		p->res->seconds_received = (double)(clock_ms() - p->began) / 1000;
	report(p, false);
	return 0;
}

/* The receipt, from RECEIPT or from the reply to a resume: it must be this server's, for what we signed. */
static int on_receipt(struct put *p, const struct span *manifest, const struct span *receipt)
{
	struct pqx_bundle *b = malloc(sizeof(*b));
	int r = b == NULL ? PQC_ENOMEM : 0;

	buf_reset(&p->res->receipt);
	if (r == 0)
		r = pqx_receipt_bundle_encode(p->h.raw, manifest, receipt, &p->res->receipt);
	if (r == 0)
		r = pqx_receipt_bundle_check(p->res->receipt.p, p->res->receipt.len, b, p->e);
	if (r == 0 && (memcmp(b->receipt.server_id, p->link.server_id, ID_LEN) != 0 ||
		       memcmp(b->receipt.client_id, p->res->sender_id, ID_LEN) != 0))
		r = err_set(p->e, PQC_EINTEGRITY,
			    "the receipt is not this server's, or not for this client");
	if (r == 0)
		p->res->size = b->manifest.plain_size;
	free(b);
	return r;
}

static int on_message(struct put *p, struct ws_event *ev)
{
	struct msg m;
	int r;

	if (session_open(p->link.session, ev->p, ev->n, &m) != 0)
		return err_set(p->e, PQC_EPROTO, "a message from the server does not open");
	if (m.type == MSG_ACK)
		return on_ack(p, &m);
	if (m.type != MSG_RECEIPT || !p->committed)
		return link_error(&m, p->e);
	if ((r = on_receipt(p, &m.manifest, &m.receipt)) == 0)
		finish(p, 0);
	return r;
}

static int read_messages(struct put *p, unsigned *want)
{
	struct ws_event ev;
	unsigned code;
	uint8_t *at;
	size_t n;
	ssize_t got;
	int r;

	while (!p->finished) {
		if ((r = ws_next(p->link.ws, &ev, &code)) != 0)
			return r;
		if (ev.type == WS_EV_MESSAGE)
			r = on_message(p, &ev);
		else if (ev.type == WS_EV_PING)
			r = link_pong(&p->link, &ev);
		else if (ev.type == WS_EV_CLOSE)
			r = PQC_ECLOSED;
		else if (ev.type == WS_EV_DATA)
			r = PQC_EPROTO;
		if (r != 0)
			return r;
		if (ev.type != WS_EV_NONE)
			continue;
		ws_want(p->link.ws, &at, &n);
		if ((got = stream_read(p->link.st, at, n, want)) < 0)
			return (int)got;
		p->heard = clock_ms();
		ws_got(p->link.ws, (size_t)got);
	}
	return 0;
}

/* Everything that can be done now; then set what to wait for. */
static void pump(struct put *p)
{
	unsigned want_read = LOOP_READ, want_write = 0;
	int r, w = 0;

	if (p->finished)
		return;
	r = read_messages(p, &want_read);
	if (r == PQC_EAGAIN)
		r = fill(p);
	if (r == 0 && !p->finished && !p->committed && p->parts != 0 && p->sealing == 0 &&
	    p->head == p->tail && sender_all_sent(p->sender))
		r = commit(p);
	if (r == 0 && !p->finished) {
		w = write_ring(p, &want_write);
		if (w != PQC_EAGAIN)
			r = w;
	}
	if (r == 0 && !p->finished)
		r = loop_watch_set(p->loop, &p->w, want_read | (w == PQC_EAGAIN ? want_write : 0));
	if (r != 0)
		finish(p, r);
}

static void slot_done(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct put *p = s->put;

	p->sealing--;
	s->ready = true;
	if (p->finished)
		return;
	if (s->rc != 0) {
		*p->e = s->e;
		finish(p, s->rc);
		return;
	}
	if (s->final && p->parts == 0) {
		p->parts = s->part + 1;
		p->res->size = s->part * p->capacity + s->plain_len;
		sender_set_parts(p->sender, p->parts);
	}
	pump(p);
}

static void on_ready(struct watch *w, unsigned ready)
{
	(void)ready;
	pump((struct put *)((char *)w - offsetof(struct put, w)));
}

static void on_tick(struct timer *t)
{
	struct put *p = (struct put *)((char *)t - offsetof(struct put, tick));

	loop_timer_set(p->loop, t, TICK_MS);
	report(p, false);
	if (p->o->cancel != NULL && atomic_load(p->o->cancel)) {
		err_set(p->e, PQC_EINTERRUPTED, "interrupted");
		finish(p, PQC_EINTERRUPTED);
	} else if (clock_ms() - p->heard > p->o->idle_ms) {
		err_set(p->e, PQC_ETIMEOUT, "%s has been silent for %u s", p->u->host_port,
			p->o->idle_ms / 1000);
		finish(p, PQC_ETIMEOUT);
	}
}

static void on_wake(void *arg)
{
	pool_reap(((struct put *)arg)->pool);
}

static void notify(void *loop)
{
	loop_wake(loop);
}

/* Run the data phase of an open connection until it ends one way or another. */
static int run(struct put *p)
{
	int r;

	p->head = p->tail = 0;
	p->sealing = 0;
	p->handed = 0;
	p->finished = p->committed = p->mid_frame = false;
	p->heard = clock_ms();
	p->e->msg[0] = '\0';
	p->w = (struct watch){.fd = stream_fd(p->link.st), .events = LOOP_READ, .cb = on_ready};
	p->tick.cb = on_tick;
	loop_on_wake(p->loop, on_wake, p);
	if ((r = loop_watch_add(p->loop, &p->w)) != 0)
		return r;
	loop_timer_set(p->loop, &p->tick, TICK_MS);
	pump(p);
	if (!p->finished && (r = loop_run(p->loop)) != 0)
		finish(p, r);
	loop_watch_del(p->loop, &p->w);
	loop_timer_del(p->loop, &p->tick);
	while (p->sealing > 0 && loop_once(p->loop, -1) == 0)
		; /* workers still write into the ring */
	return p->rc;
}

/* ---- opening ---- */

/* A new file: header, keys, a key block for ourselves, an empty journal. */
static int start_new(struct put *p, struct err *e)
{
	const struct public_identity *me = identity_public(p->o->identity);
	struct keyblock *kb = keyblock_new();
	int r = kb == NULL ? PQC_ENOMEM : 0;

	memset(&p->h, 0, sizeof(p->h));
	p->h.suite = me->suite;
	p->h.part_size = p->part_size;
	p->h.plain_size = psource_size(p->src);
	memcpy(p->h.sender_id, me->id, ID_LEN);
	buf_reset(&p->keyblock);
	if (r == 0 && (r = pqx_header_new(&p->h, &p->k)) == 0 &&
	    (r = keyblock_add_recipient(kb, &p->h, &p->k, me)) == 0 &&
	    (r = keyblock_encode(kb, &p->h, &p->k, &p->keyblock)) == 0)
		r = journal_start(p->journal, &p->h, psource_fingerprint(p->src), e);
	else
		err_set(e, r, "cannot prepare the file's keys");
	keyblock_free(kb);
	p->fresh = r == 0;
	p->res->resumed_bytes = 0;
	return r;
}

static int ask(struct put *p, struct msg *reply, struct err *e)
{
	struct msg m = {.type = MSG_REQUEST, .op = OP_PUT};
	bool first = p->fresh;

	m.name = (struct span){p->u->name, strlen(p->u->name)};
	m.size = p->h.plain_size;
	m.file_id = (struct span){p->h.file_id, 32};
	m.header = (struct span){p->h.raw, PQX_HEADER_LEN};
	m.dek = (struct span){p->k.dek, KEY_LEN};
	m.keyblock = (struct span){p->keyblock.p, p->keyblock.len};
	m.has = 1u << TAG_OP | 1u << TAG_NAME | 1u << TAG_SIZE | 1u << TAG_FILE_ID |
		1u << TAG_HEADER | (first ? 1u << TAG_DEK | 1u << TAG_KEYBLOCK : 0);
	return link_open(&p->link, p->o, p->u, &m, reply, e);
}

/* What the server holds must all be in our journal: we sign only leaves that we made. */
static int take_up(struct put *p, const struct msg *reply, struct err *e)
{
	struct partset held = PARTSET_INIT;
	uint8_t leaf[HASH_MAX];
	int r;

	r = partset_decode(reply->ranges.p, reply->ranges.n, &held);
	for (size_t k = 0; r == 0 && k < held.n; k++)
		for (uint64_t i = 0; r == 0 && i < held.r[k].count; i++)
			r = journal_leaf(p->journal, held.r[k].first + i, leaf);
	if (r == 0 && !p->fresh)
		r = pqx_keys_derive(&p->h, reply->dek.p, &p->k);
	if (r == 0)
		r = sender_connected(p->sender, &held, reply->window);
	if (r == 0 && p->res->reconnects == 0 && partset_count(&held) > 0) {
		p->res->resumed_bytes = partset_count(&held) * p->capacity;
		if (p->o->notice != NULL)
			p->o->notice(p->o->arg, "resume",
				     "the server holds a part of this file already");
	}
	if (r == 0)
		p->fresh = false;
	else
		err_set(e, PQC_EINTEGRITY,
			"what the server holds of this file is not what was sent");
	partset_free(&held);
	return r;
}

/* One connection from greeting to receipt. *lost: the server knows no such upload, start over. */
static int attempt(struct put *p, bool *lost, struct err *e)
{
	struct msg reply;
	bool resuming = !p->fresh;
	int r = ask(p, &reply, e);

	*lost = resuming && r == PQC_EREFUSED && p->link.session != NULL;
	if (r != 0)
		goto out;
	if (msg_has(&reply, TAG_RECEIPT)) {
		r = on_receipt(p, &reply.manifest, &reply.receipt);
		goto out;
	}
	if (!msg_has(&reply, TAG_RANGES) || !msg_has(&reply, TAG_WINDOW) ||
	    !msg_has(&reply, TAG_DEK)) {
		r = err_set(e, PQC_EPROTO, "the server's answer lacks what a put needs");
		goto out;
	}
	if ((r = take_up(p, &reply, e)) != 0) {
		*lost = resuming;
		goto out;
	}
	retry_progress(&p->retry);
	r = run(p);
out:
	memcpy(p->res->server_id, p->link.server_id, ID_LEN);
	link_close(&p->link);
	return r;
}

static int attempts(struct put *p, struct err *e)
{
	bool lost, restarted = false;
	int r;

	for (;;) {
		r = attempt(p, &lost, e);
		if (r == 0)
			return 0;
		if (r == PQC_ECHANGED) {
			struct err ignored;

			(void)!journal_remove(p->journal, &ignored);
			return r;
		}
		if (r == PQC_EEXIST && p->fresh) {
			p->fresh = false; /* the server took it up, and the answer was lost */
			continue;
		}
		if (lost && !restarted && psource_size(p->src) != PQX_SIZE_UNKNOWN) {
			restarted = true;
			if ((r = start_new(p, e)) != 0)
				return r;
			sender_free(p->sender);
			p->sender = NULL;
			if ((r = sender_new(&p->sender, p->parts)) != 0)
				return r;
			continue;
		}
		if ((r = retry_wait(&p->retry, r, e)) != 0)
			return r;
		p->res->reconnects++;
	}
}

/* ---- life ---- */

static int journal_key(const struct put *p, const char *path, uint8_t key[32])
{
	char real[4096];
	uint8_t h[SHA512_LEN];
	struct span in[] = {
		{"put", 4},
		{NULL, 0},
		{p->u->host_port, strlen(p->u->host_port) + 1},
		{p->u->name, strlen(p->u->name) + 1},
		{identity_public(p->o->identity)->id, ID_LEN},
	};
	int r;

	if (path == NULL || psource_size(p->src) == PQX_SIZE_UNKNOWN)
		return random_bytes(key, 32);
	if (realpath(path, real) == NULL)
		return PQC_EIO;
	in[1] = (struct span){real, strlen(real) + 1};
	if ((r = sha512(in, sizeof(in) / sizeof(in[0]), h)) == 0)
		memcpy(key, h, 32);
	return r;
}

static int prepare(struct put *p, const struct put_opts *po, struct err *e)
{
	const struct public_identity *me = identity_public(p->o->identity);
	uint64_t size;
	uint8_t key[32];
	int r;

	if ((r = psource_open(&p->src, po, p->capacity, p->o->cancel, e)) != 0)
		return r;
	size = psource_size(p->src);
	if (size != PQX_SIZE_UNKNOWN && (r = pqx_part_count(p->part_size, size, &p->parts)) != 0)
		return err_set(e, r, "%s is too large for parts of %u bytes", po->path,
			       p->part_size);
	p->res->size = size == PQX_SIZE_UNKNOWN ? 0 : size;
	memcpy(p->res->sender_id, me->id, ID_LEN);
	if ((r = journal_key(p, po->path, key)) != 0)
		return err_set(e, r, "cannot find the way to %s", po->path);
	if ((r = journal_open(p->o->state_dir, JOURNAL_PUT, key, &p->journal, e)) != 0)
		return r;
	if (journal_header(p->journal) == NULL ||
	    journal_header(p->journal)->part_size != p->part_size ||
	    memcmp(journal_fingerprint(p->journal), psource_fingerprint(p->src), 32) != 0)
		return start_new(p, e);
	p->h = *journal_header(p->journal);
	return 0;
}

static int make_workers(struct put *p)
{
	struct pool_opts po = {.threads = p->o->threads, .notify = notify, .arg = p->loop};

	p->worker_count = p->o->threads > 0 ? p->o->threads : 1;
	if ((p->workers = calloc(p->worker_count, sizeof(*p->workers))) == NULL)
		return PQC_ENOMEM;
	for (size_t i = 0; i < p->worker_count; i++) {
		p->workers[i].aead = aead_new();
		p->workers[i].plain = malloc(p->capacity);
		if (p->workers[i].aead == NULL || p->workers[i].plain == NULL)
			return PQC_ENOMEM;
	}
	p->ring_len = RING_BYTES / p->part_size;
	p->ring_len = p->ring_len < 2 ? 2 : p->ring_len > RING_MAX ? RING_MAX : p->ring_len;
	for (size_t i = 0; i < p->ring_len; i++) {
		p->ring[i].put = p;
		p->ring[i].wire = malloc(WS_HEADER_MAX + FRAME_LEN + p->part_size + AEAD_TAG);
		if (p->ring[i].wire == NULL)
			return PQC_ENOMEM;
	}
	return pool_new(&p->pool, &po);
}

static void put_free(struct put *p)
{
	pool_free(p->pool);
	for (size_t i = 0; p->workers != NULL && i < p->worker_count; i++) {
		aead_free(p->workers[i].aead);
		if (p->workers[i].plain != NULL)
			secret_wipe(p->workers[i].plain, p->capacity);
		free(p->workers[i].plain);
	}
	free(p->workers);
	for (size_t i = 0; i < p->ring_len; i++)
		free(p->ring[i].wire);
	loop_free(p->loop);
	sender_free(p->sender);
	journal_free(p->journal);
	psource_free(p->src);
	buf_free(&p->keyblock);
	secret_wipe(p, sizeof(*p));
	free(p);
}

int client_put(const struct client_opts *o, const struct url *u, const struct put_opts *po,
	       struct transfer_result *res, struct err *e)
{
	struct put *p = calloc(1, sizeof(*p));
	uint64_t began = clock_ms();
	int r;

	memset(res, 0, sizeof(*res));
	buf_init(&res->receipt, 65536);
	if (p == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	p->o = o;
	p->u = u;
	p->res = res;
	p->e = e;
	p->began = began;
	p->part_size = po->part_size;
	p->capacity = pqx_part_capacity(po->part_size);
	buf_init(&p->keyblock, PQX_KEYBLOCK_MAX);
	retry_init(&p->retry, o);
	if ((r = prepare(p, po, e)) != 0)
		goto out;
	if ((r = loop_new(&p->loop)) != 0 || (r = make_workers(p)) != 0 ||
	    (r = sender_new(&p->sender, p->parts)) != 0) {
		err_set(e, r, "out of memory");
		goto out;
	}
	if ((r = attempts(p, e)) != 0)
		goto out;
	memcpy(res->file_id, p->h.file_id, sizeof(res->file_id));
	res->parts = p->parts;
	res->seconds = (double)(clock_ms() - began) / 1000;
	if (res->seconds_received == 0)
		res->seconds_received = res->seconds;
	r = journal_remove(p->journal, e);
out:
	if (r != 0 && p->journal != NULL && psource_size(p->src) == PQX_SIZE_UNKNOWN) {
		struct err ignored;

		(void)!journal_remove(p->journal, &ignored); /* a stream cannot be taken up again */
	}
	put_free(p);
	return r;
}

void transfer_result_free(struct transfer_result *r)
{
	buf_free(&r->receipt);
}
