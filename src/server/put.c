/*
 * Put: parts come in through a small ring of page-aligned slots, workers unmask,
 * hash, check and write them, a flush makes batches durable, and the commit
 * gives the receipt.
 *
 * A put outlives its connection: what arrived is still recorded, so that the
 * client that comes back sends as little as possible. Only when nothing is
 * under way any more is the put let go, and a newer request for the same file
 * taken on: so what the newer one is told is held stays true.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "container/part.h"
#include "crypto/secmem.h"
#include "server/put_impl.h"

#define SLOTS	     6
#define SLOT_ALIGN   4096
#define FLUSH_BYTES  (64u << 20) /* written but not yet durable: start a flush */
#define FLUSH_STREAM (4u << 20)	 /* the same for a stream, whose sender keeps what is not durable */
#define STREAM_PARTS 4		 /* the same, in parts */
#define FLUSH_MS     500

static void advance(struct put *p);
static void settle(struct put *p);

static size_t hash_len(const struct put *p)
{
	return upload_header(p->up)->suite->hash_len;
}

static bool is_stream(const struct put *p)
{
	return upload_header(p->up)->plain_size == PQX_SIZE_UNKNOWN;
}

/* The put failed: no more parts, tell the client. */
static void fail(struct put *p, int code, const char *text)
{
	p->failed = true;
	p->hopeless |= code == PQC_EQUOTA && is_stream(p);
	log_event(p->srv->log, LOG_WARN, "put.failed",
		  (struct log_field[]){log_name("name", p->name),
				       log_id("client", p->owner),
				       log_str("code", err_name(code)),
				       log_str("reason", text),
				       {0}});
	if (p->c != NULL)
		conn_fail(p->c, code, text);
}

/* ---- a part ---- */

static void slot_run(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct put *p = s->put;
	const struct suite *suite = upload_header(p->up)->suite;
	struct span part = {s->p, s->f.length};
	struct aead *a = p->srv->aead[j->worker];

	ws_mask(s->p, s->f.length + AEAD_TAG, s->mask, WS_DATA_HEAD);
	s->rc = pqx_leaf(suite, s->f.part, &part, s->leaf);
	if (s->rc == 0)
		s->rc = session_frame_check(p->session, a, s->head, s->leaf, suite->hash_len,
					    s->p + s->f.length);
	if (s->rc == PQC_EPROTO)
		s->rc = err_set(&s->e, PQC_EPROTO, "part %llu: wrong frame tag",
				(unsigned long long)s->f.part);
	if (s->rc == 0 && !s->known)
		s->rc = upload_write(p->up, s->f.part, s->p, s->f.length, &s->e);
}

/* A part we hold already came again: it must be the same. */
static int check_known(struct put *p, const struct slot *s)
{
	const struct batch *b[2] = {p->fill, p->flushing};
	uint8_t leaf[HASH_MAX];
	size_t hl = hash_len(p);

	for (int k = 0; k < 2; k++)
		for (size_t i = 0; b[k] != NULL && i < b[k]->count; i++)
			if (b[k]->part[i] == s->f.part)
				return memcmp(b[k]->leaf + i * hl, s->leaf, hl) == 0 ? 0
										     : PQC_EPROTO;
	if (upload_leaf(p->up, s->f.part, leaf) != 0)
		return PQC_EPROTO;
	return memcmp(leaf, s->leaf, hl) == 0 ? 0 : PQC_EPROTO;
}

static void slot_done(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct put *p = s->put;
	struct batch *b = p->fill;
	size_t hl = hash_len(p);

	s->busy = false;
	p->busy--;
	if (s->rc == 0 && s->known) {
		metric_add(&p->srv->metrics, M_PARTS_KNOWN, 1);
		s->rc = check_known(p, s);
		if (s->rc != 0)
			err_set(&s->e, s->rc, "part %llu is held already and was other bytes",
				(unsigned long long)s->f.part);
	} else if (s->rc == 0) {
		b->part[b->count] = s->f.part;
		memcpy(b->leaf + b->count * hl, s->leaf, hl);
		b->count++;
		b->bytes += s->f.length;
		p->bytes_in += s->f.length;
		metric_add(&p->srv->metrics, M_PARTS_IN, 1);
		metric_add(&p->srv->metrics, M_BYTES_IN, s->f.length);
		s->rc = receiver_received(p->rx, s->f.part);
	}
	if (s->rc != 0 && !p->failed)
		fail(p, s->rc, s->e.msg[0] != '\0' ? s->e.msg : err_meaning(s->rc));
	advance(p);
	settle(p);
}

static int too_large(struct put *p, uint64_t size, struct err *e)
{
	p->hopeless = is_stream(p);
	return err_set(e, PQC_EQUOTA, "%llu bytes are more than this server takes (%llu)",
		       (unsigned long long)size, (unsigned long long)p->srv->o.max_size);
}

/* What a stream comes to at least with this part: only COMMIT tells its size. */
static uint64_t size_with(const struct put *p, uint64_t part)
{
	return part == 0 ? 0 : part * pqx_part_capacity(upload_header(p->up)->part_size) + 1;
}

static int op_data(struct conn *c, const struct ws_event *ev, uint8_t **into, struct err *e)
{
	struct put *p = c->state;
	struct slot *s = NULL;
	struct frame f;
	int r;

	if (frame_decode(ev->head, &f) != 0 || ev->n != (size_t)f.length + AEAD_TAG)
		return err_set(e, PQC_EPROTO, "malformed frame header");
	for (int i = 0; i < SLOTS; i++) {
		if (!p->slot[i].busy)
			s = &p->slot[i];
		else if (p->slot[i].f.part == f.part)
			return 0; /* twice in a row: the first has to be recorded before it is compared */
	}
	if (s == NULL || p->fill->count + p->busy >= BATCH_MAX)
		return 0;
	if ((r = receiver_accept(p->rx, &f, &s->known, e)) != 0)
		return r;
	if (size_with(p, f.part) > p->srv->o.max_size)
		return too_large(p, size_with(p, f.part), e);
	s->busy = true;
	s->f = f;
	s->e.msg[0] = '\0';
	memcpy(s->head, ev->head, FRAME_LEN);
	memcpy(s->mask, ev->mask, sizeof(s->mask));
	p->filling = s;
	*into = s->p;
	return 0;
}

static int op_data_end(struct conn *c, struct err *e)
{
	struct put *p = c->state;
	struct slot *s = p->filling;

	(void)e;
	p->filling = NULL;
	p->busy++;
	s->job = (struct job){.run = slot_run, .done = slot_done};
	pool_submit(p->srv->cpu, &s->job);
	return 0;
}

/* ---- durable ---- */

/* A stream takes its room as it comes; a file's was set aside at the beginning. */
static int check_room(const struct put *p, struct err *e)
{
	uint64_t free_bytes, total;

	if (!is_stream(p) || store_space(p->srv->store, &free_bytes, &total) != 0 ||
	    free_bytes >= p->srv->o.min_free)
		return 0;
	return err_set(e, PQC_EQUOTA, "the server's disk has no room for more of this stream");
}

static void flush_run(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, flush_job));
	struct batch *b = p->flushing;

	if ((p->flush_rc = check_room(p, &p->flush_err)) == 0)
		p->flush_rc = upload_record(p->up, b->part, b->leaf, b->count, &p->flush_err);
}

static void flush_done(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, flush_job));
	struct batch *b = p->flushing;

	p->flush_running = false;
	for (size_t i = 0; p->flush_rc == 0 && i < b->count; i++)
		p->flush_rc = receiver_durable(p->rx, b->part[i]);
	b->count = 0;
	b->bytes = 0;
	if (p->flush_rc != 0 && !p->failed) {
		metric_add(&p->srv->metrics, M_STORE_ERRORS, 1);
		fail(p, p->flush_rc, p->flush_err.msg);
	}
	advance(p);
	settle(p);
}

static void maybe_flush(struct put *p, bool now)
{
	bool stream = is_stream(p);
	struct batch *b = p->fill;

	if (p->flush_running || b->count == 0 || p->flush_rc != 0)
		return;
	if (!now && b->bytes < (stream ? FLUSH_STREAM : FLUSH_BYTES) &&
	    b->count < (stream ? STREAM_PARTS : BATCH_MAX / 2)) {
		if (!p->timer.armed)
			loop_timer_set(p->srv->loop, &p->timer, FLUSH_MS);
		return;
	}
	loop_timer_del(p->srv->loop, &p->timer);
	p->fill = p->flushing;
	p->flushing = b;
	p->flush_running = true;
	p->flush_job = (struct job){.run = flush_run, .done = flush_done};
	pool_submit(p->srv->disk, &p->flush_job);
}

static void on_flush_timer(struct timer *t)
{
	maybe_flush((struct put *)((char *)t - offsetof(struct put, timer)), true);
}

/* ---- commit ---- */

static int make_receipt(struct put *p, struct err *e)
{
	struct server *s = p->srv;
	const struct public_identity *me = identity_public(s->id);
	struct span m = {p->manifest.p, p->manifest.len};
	struct pqx_receipt r = {.suite = me->suite, .time = clock_unix()};
	uint8_t core[SHA512_LEN];
	int rc;

	memcpy(r.hc, upload_header(p->up)->hc, sizeof(r.hc));
	memcpy(r.server_id, me->id, ID_LEN);
	memcpy(r.client_id, p->owner, ID_LEN);
	if ((rc = sha512(&m, 1, r.manifest_hash)) != 0 ||
	    (rc = pqx_receipt_core_hash(&r, core)) != 0)
		return rc;
	if ((rc = store_log_append(s->store, me->suite, core, &r.log_index, r.log_root, e)) != 0)
		return rc;
	return pqx_receipt_make(s->id, &r, &p->receipt);
}

static void commit_run(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, commit_job));
	const struct pqx_header *h = upload_header(p->up);
	const struct pqx_manifest *m = &p->signed_by_client;
	struct span manifest = {p->manifest.p, p->manifest.len}, receipt;
	struct err *e = &p->commit_err;
	uint8_t root[HASH_MAX];
	int r;

	if ((r = upload_root(p->up, m->n, root)) == 0 &&
	    memcmp(root, m->root, h->suite->hash_len) != 0)
		r = err_set(e, PQC_EINTEGRITY,
			    "the manifest's root is not that of what was received");
	if (r == 0 && (r = make_receipt(p, e)) == 0) {
		receipt = (struct span){p->receipt.p, p->receipt.len};
		r = upload_commit(p->up, &manifest, &receipt, m->plain_size, clock_unix(), e);
	}
	p->commit_rc = r;
}

static void send_receipt(struct put *p)
{
	struct msg m = {.type = MSG_RECEIPT, .has = 1u << TAG_MANIFEST | 1u << TAG_RECEIPT};

	/* What is on the disk counts: a commit that was cut short may have left its own. */
	m.manifest = upload_manifest(p->up);
	m.receipt = upload_receipt(p->up);
	if (conn_send(p->c, &m) != 0)
		conn_fail(p->c, PQC_EFAIL, "cannot send the receipt");
	else
		conn_finish(p->c);
}

static void commit_done(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, commit_job));
	struct server *s = p->srv;

	p->commit_running = false;
	if (p->commit_rc != 0) {
		fail(p, p->commit_rc,
		     p->commit_err.msg[0] ? p->commit_err.msg : err_meaning(p->commit_rc));
	} else {
		metric_add(&s->metrics, M_PUT_DONE, 1);
		server_empty_trash(s);
		log_event(s->log, LOG_INFO, "put.done",
			  (struct log_field[]){log_name("name", p->name),
					       log_id("client", p->owner),
					       log_id("file_id", upload_header(p->up)->file_id),
					       log_u64("bytes", p->signed_by_client.plain_size),
					       log_u64("received_bytes", p->bytes_in),
					       log_u64("milliseconds", clock_ms() - p->began),
					       {0}});
		if (p->c != NULL)
			send_receipt(p);
	}
	advance(p);
	settle(p);
}

static int op_control(struct conn *c, const struct msg *m, struct err *e)
{
	struct put *p = c->state;
	struct pqx_manifest *mf = &p->signed_by_client;
	int r;

	if (m->type != MSG_COMMIT || p->commit_asked)
		return err_set(e, PQC_EPROTO, "only one COMMIT is expected in a put");
	if (pqx_manifest_check(upload_header(p->up), NULL, m->manifest.p, m->manifest.n, mf) != 0)
		return err_set(e, PQC_EINTEGRITY, "the manifest is not valid for this file");
	if (mf->plain_size > p->srv->o.max_size)
		return too_large(p, mf->plain_size, e);
	if ((r = receiver_commit(p->rx, mf->n, e)) != 0)
		return r;
	buf_put(&p->manifest, m->manifest.p, m->manifest.n);
	if ((r = buf_error(&p->manifest)) != 0)
		return err_set(e, r, "out of memory");
	p->commit_asked = true;
	advance(p);
	return 0;
}

/* ---- what to do next ---- */

static void acknowledge(struct put *p)
{
	struct msg ack;

	if (p->c == NULL || p->failed || p->c->phase != PHASE_OPEN || p->c->out.len > OUT_MAX / 4)
		return;
	if (!receiver_ack(p->rx, &ack))
		return;
	log_event(p->srv->log, LOG_DEBUG, "put.acknowledged",
		  (struct log_field[]){log_id("file_id", upload_header(p->up)->file_id),
				       log_u64("durable_parts", ack.durable),
				       {0}});
	if (conn_send(p->c, &ack) != 0)
		fail(p, PQC_EFAIL, "cannot acknowledge");
}

static bool idle(const struct put *p)
{
	return p->busy == 0 && !p->flush_running && !p->commit_running;
}

/* Something changed: flush, acknowledge, commit, as far as it is time. */
static void advance(struct put *p)
{
	maybe_flush(p, p->busy == 0 && (p->c == NULL || p->commit_asked));
	acknowledge(p);
	if (!p->commit_asked || p->failed || p->receipt.len > 0 || !idle(p) || p->fill->count > 0)
		return;
	if (!receiver_complete(p->rx)) {
		fail(p, PQC_EPROTO, "COMMIT before every part was there");
		return;
	}
	p->commit_running = true;
	p->commit_job = (struct job){.run = commit_run, .done = commit_done};
	pool_submit(p->srv->disk, &p->commit_job);
}

static void put_free(struct put *p)
{
	struct server *s = p->srv;
	struct opening *next = p->waiting;

	loop_timer_del(s->loop, &p->timer);
	if (p->prev != NULL)
		p->prev->next = p->next;
	else if (s->puts == p)
		s->puts = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	for (int i = 0; i < SLOTS; i++)
		free(p->slot[i].p);
	receiver_free(p->rx);
	session_free(p->session);
	upload_free(p->up);
	buf_free(&p->manifest);
	buf_free(&p->receipt);
	free(p->fill);
	free(p->flushing);
	free(p);
	if (next != NULL && next->t.c != NULL)
		task_start(next->t.c, &next->t);
	else if (next != NULL)
		opening_free(next);
}

static void abandon_run(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, abandon_job));

	(void)!upload_abandon(p->up, NULL); /* what fails is for the sweep */
}

static void abandon_done(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, abandon_job));

	server_empty_trash(p->srv);
	put_free(p);
}

/* After advance, on the loop's own turn (never inside an op hook): p or its connection may go. */
static void settle(struct put *p)
{
	if (p->c != NULL) {
		conn_kick(p->c);
	} else if (idle(p) && (p->fill->count == 0 || p->flush_rc != 0)) {
		if (!p->hopeless) {
			put_free(p);
		} else if (!p->abandoned) {
			p->abandoned = true;
			p->abandon_job = (struct job){.run = abandon_run, .done = abandon_done};
			pool_submit(p->srv->disk, &p->abandon_job);
		}
	}
}

void put_detach(struct conn *c)
{
	struct put *p = c->state;

	transfer_leave(c);
	c->op = NULL;
	c->state = NULL;
	p->session = c->session;
	c->session = NULL;
	p->c = NULL;
	advance(p);
	settle(p);
}

static const struct op put_op = {
	.control = op_control,
	.data = op_data,
	.data_end = op_data_end,
	.detach = put_detach,
};

/* ---- beginning ---- */

static void put_link(struct server *s, struct put *p)
{
	p->next = s->puts;
	if (s->puts != NULL)
		s->puts->prev = p;
	s->puts = p;
}

int put_new(struct opening *o, struct conn *c)
{
	struct put *p = calloc(1, sizeof(*p));
	struct receiver_opts ro = {
		.header = upload_header(o->up), .window = WINDOW, .held = &o->held};
	int r = p == NULL ? PQC_ENOMEM : receiver_new(&p->rx, &ro);

	if (r == 0) {
		p->srv = o->t.srv;
		p->fill = calloc(1, sizeof(*p->fill));
		p->flushing = calloc(1, sizeof(*p->flushing));
		for (int i = 0; i < SLOTS; i++) {
			p->slot[i].put = p;
			p->slot[i].p = aligned_alloc(SLOT_ALIGN, o->header.part_size + SLOT_ALIGN);
			if (p->slot[i].p == NULL)
				r = PQC_ENOMEM;
		}
		if (p->fill == NULL || p->flushing == NULL)
			r = PQC_ENOMEM;
	}
	if (r != 0) {
		if (p != NULL)
			put_free(p);
		return r;
	}
	buf_init(&p->manifest, PQX_MANIFEST_MAX);
	buf_init(&p->receipt, PQX_RECEIPT_MAX);
	memcpy(p->owner, o->owner, ID_LEN);
	memcpy(p->name, o->name, sizeof(p->name));
	p->up = o->up;
	o->up = NULL; /* transferred */
	p->c = c;
	p->session = c->session;
	p->began = clock_ms();
	p->timer.cb = on_flush_timer;
	c->op = &put_op;
	c->state = p;
	put_link(p->srv, p);
	return 0;
}
