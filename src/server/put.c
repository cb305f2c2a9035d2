/*
 * Put: parts come in and are written (put_part.c), a flush makes batches of them durable,
 * and the commit gives the receipt (put_commit.c).
 *
 * A put outlives its connection: what arrived is still recorded, so that the
 * client that comes back sends as little as possible. Only when nothing is
 * under way any more is the put let go, and with it the lease of the upload, for which a
 * newer request for the same file waits: so what that is told is held stays true.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/put_impl.h"

#define FLUSH_BYTES  (64u << 20) /* written but not yet durable: start a flush */
#define FLUSH_STREAM (4u << 20)	 /* the same for a stream, whose sender keeps what is not durable */
#define STREAM_PARTS 4		 /* the same, in parts */
#define FLUSH_MS     500
#define LEASE_MS     250 /* how soon a newer connection to another process is noticed */

size_t put_hash_len(const struct put *p)
{
	return upload_header(p->up)->suite->hash_len;
}

bool put_is_stream(const struct put *p)
{
	return upload_header(p->up)->plain_size == PQX_SIZE_UNKNOWN;
}

/* The put failed: no more parts, tell the client. */
void put_fail(struct put *p, int code, const char *text)
{
	p->failed = true;
	p->hopeless |= code == PQC_EQUOTA && put_is_stream(p);
	log_event(p->srv->log, LOG_WARN, "put.failed",
		  (struct log_field[]){log_str("trace_id", p->about.trace_id),
				       log_name("name", p->name),
				       log_id("client_id", p->owner),
				       log_id("file_id", p->about.file_id),
				       log_str("code", err_name(code)),
				       log_str("reason", text),
				       {0}});
	if (p->c != NULL)
		conn_fail(p->c, code, text);
}

/* ---- durable ---- */

/* A stream takes its room as it comes; a file's was set aside at the beginning. */
static int check_room(struct put *p, struct err *e)
{
	uint64_t free_bytes, total, last = 0;

	if (!put_is_stream(p))
		return 0;
	if (store_space(p->srv->store, &free_bytes, &total) == 0 && free_bytes < p->srv->o.min_free)
		return err_set(e, PQC_EQUOTA,
			       "the server's disk has no room for more of this stream");
	for (size_t i = 0; i < p->flushing->count; i++)
		if (p->flushing->part[i] > last)
			last = p->flushing->part[i];
	return upload_grow(p->up, (last + 1) * upload_header(p->up)->part_size, p->quota, e);
}

static void flush_run(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, flush_job));
	struct batch *b = p->flushing;

	p->flush_began = p->flush_ended = clock_ns();
	if ((p->flush_rc = check_room(p, &p->flush_err)) != 0)
		return;
	p->flush_rc = upload_record(p->up, b->part, b->leaf, b->count, &p->flush_err);
	p->flush_ended = clock_ns();
}

static void observe_flush(struct put *p)
{
	struct metrics *m = &p->srv->metrics;
	uint64_t ns = p->flush_ended - p->flush_began;

	metric_time(m, M_ACT_FSYNC, ns);
	histo_observe(m, H_FSYNC, (double)ns / 1e9, NULL);
	if (p->c != NULL)
		busy_add(&p->c->t.fsync, p->flush_began, p->flush_ended);
	if (p->flush_rc == PQC_EQUOTA)
		metric_add(m, M_PART_NO_SPACE, p->flushing->count);
	else if (p->flush_rc != 0 && p->flush_rc != PQC_ETEMP)
		metric_add(m, M_STORE_ERRORS, 1);
}

static void flush_done(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, flush_job));
	struct batch *b = p->flushing;

	p->flush_running = false;
	observe_flush(p);
	for (size_t i = 0; p->flush_rc == 0 && i < b->count; i++)
		p->flush_rc = receiver_durable(p->rx, b->part[i]);
	b->count = 0;
	b->bytes = 0;
	if (p->flush_rc != 0 && !p->failed)
		put_fail(p, p->flush_rc, p->flush_err.msg);
	put_advance(p);
	put_settle(p);
}

static void maybe_flush(struct put *p, bool now)
{
	bool stream = put_is_stream(p);
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

/* ---- the lease: is there a newer connection, to another process of this directory? ---- */

static void lease_run(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, lease_job));

	p->lease_rc = upload_lease_wanted(p->up);
}

static void lease_done(struct job *j)
{
	struct put *p = (struct put *)((char *)j - offsetof(struct put, lease_job));

	p->lease_running = false;
	if (p->lease_rc != 0 && p->c != NULL)
		put_supersede(p);
	else
		put_settle(p);
}

static void on_lease_timer(struct timer *t)
{
	struct put *p = (struct put *)((char *)t - offsetof(struct put, lease));

	if (p->c == NULL)
		return; /* on its way out anyhow */
	loop_timer_set(p->srv->loop, t, LEASE_MS);
	if (p->lease_running)
		return;
	p->lease_running = true;
	p->lease_job = (struct job){.run = lease_run, .done = lease_done};
	pool_submit(p->srv->disk, &p->lease_job);
}

void put_supersede(struct put *p)
{
	struct conn *c = p->c;

	metric_add(&p->srv->metrics, M_SUPERSEDED, 1);
	log_event(p->srv->log, LOG_INFO, "put.superseded",
		  (struct log_field[]){log_str("trace_id", p->about.trace_id),
				       log_id("client_id", p->owner),
				       log_id("file_id", p->about.file_id),
				       log_str("peer", c->peer),
				       {0}});
	conn_fail(c, PQC_ETEMP, "superseded by a newer connection");
	put_detach(c); /* p may be gone now */
	conn_kick(c);
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
		put_fail(p, PQC_EFAIL, "cannot acknowledge");
}

static bool idle(const struct put *p)
{
	return p->busy == 0 && !p->flush_running && !p->commit_running && !p->lease_running;
}

/* Something changed: flush, acknowledge, commit, as far as it is time. */
void put_advance(struct put *p)
{
	maybe_flush(p, p->busy == 0 && (p->c == NULL || p->commit_asked));
	acknowledge(p);
	if (!p->commit_asked || p->failed || p->busy > 0 || p->flush_running || p->fill->count > 0)
		return;
	if (p->commit_running || p->receipt.len > 0) /* in this order: a commit writes it */
		return;
	if (!receiver_complete(p->rx)) {
		put_fail(p, PQC_EPROTO, "COMMIT before every part was there");
		return;
	}
	put_commit(p);
}

static void put_free(struct put *p)
{
	struct server *s = p->srv;

	loop_timer_del(s->loop, &p->timer);
	loop_timer_del(s->loop, &p->lease);
	if (p->prev != NULL)
		p->prev->next = p->next;
	else if (s->puts == p)
		s->puts = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	if (p->up != NULL)
		slots_free(p);
	receiver_free(p->rx);
	session_free(p->session);
	upload_free(p->up);
	buf_free(&p->manifest);
	buf_free(&p->receipt);
	free(p->fill);
	free(p->flushing);
	free(p);
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
void put_settle(struct put *p)
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

	transfer_end(c, R_INTERRUPTED, 0);
	c->op = NULL;
	c->state = NULL;
	p->session = c->session;
	c->session = NULL;
	p->c = NULL;
	put_advance(p);
	put_settle(p);
}

static const struct op put_op = {
	.control = put_control,
	.data = put_take,
	.data_end = put_take_end,
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

static int put_make(struct opening *o, struct put **out)
{
	struct receiver_opts ro = {
		.header = upload_header(o->up), .window = WINDOW, .held = &o->held};
	struct put *p = calloc(1, sizeof(*p));
	int r = PQC_ENOMEM;

	if (p == NULL)
		return r;
	p->srv = o->t.srv;
	p->fill = calloc(1, sizeof(*p->fill));
	p->flushing = calloc(1, sizeof(*p->flushing));
	buf_init(&p->manifest, PQX_MANIFEST_MAX);
	buf_init(&p->receipt, PQX_RECEIPT_MAX);
	if (p->fill == NULL || p->flushing == NULL || (r = receiver_new(&p->rx, &ro)) != 0) {
		put_free(p);
		return r;
	}
	p->up = o->up;
	o->up = NULL; /* transferred */
	if ((r = slots_init(p)) != 0)
		put_free(p);
	else
		*out = p;
	return r;
}

int put_new(struct opening *o, struct conn *c)
{
	struct put *p = NULL;
	int r = put_make(o, &p);

	if (r != 0)
		return r;
	memcpy(p->owner, o->owner, ID_LEN);
	memcpy(p->name, o->name, sizeof(p->name));
	p->about = c->t;
	p->about.name = p->name;
	p->quota = o->quota;
	p->c = c;
	p->session = c->session;
	p->began = clock_ms();
	p->timer.cb = on_flush_timer;
	p->lease.cb = on_lease_timer;
	loop_timer_set(p->srv->loop, &p->lease, LEASE_MS);
	c->op = &put_op;
	c->state = p;
	put_link(p->srv, p);
	return 0;
}
