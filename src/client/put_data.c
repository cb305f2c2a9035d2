/*
 * The data phase of a put: workers read, seal, hash and frame parts into a
 * ring of buffers; the connection's thread writes the ring in order and listens to what
 * the server says.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/put_impl.h"
#include "container/manifest.h"
#include "container/part.h"
#include "container/tree.h"
#include "crypto/secmem.h"

#define PROGRESS_MS 100

/* ---- sealing, on a worker ---- */

static int seal_part(struct slot *s, struct worker *w)
{
	struct put *p = s->put;
	uint8_t leaf[HASH_MAX], mask[4], *head = s->wire + WS_HEADER_MAX, *body = head + FRAME_LEN;
	struct frame f = {.handle = p->handle, .part = s->part, .sequence = s->sequence};
	uint8_t ws[WS_HEADER_MAX];
	const uint8_t *bytes;
	struct span plain;
	size_t n, hl;
	int r;

	r = psource_read(p->src, s->part, w->plain, &bytes, &n, &s->final, &s->e);
	if (r != 0)
		return call_spoil(&p->d.call, r, &s->e);
	s->plain_len = n;
	s->sealed_from = trail_clock(); /* the source may be a pipe that has nothing for hours */
	plain = (struct span){bytes, n};
	if ((r = pqx_part_seal(w->aead, &p->h, &p->k, s->part, s->final, &plain, body, leaf)) !=
		    0 ||
	    (r = journal_put(p->journal, s->part, leaf, &s->e)) != 0)
		return r;
	f.flags = s->final ? FRAME_FINAL : 0;
	f.length = (uint32_t)pqx_part_sealed_len(n);
	frame_encode(&f, head);
	r = session_frame_tag(p->d.link.session, w->aead, head, leaf, p->h.suite->hash_len,
			      body + f.length);
	if (r != 0 || (r = random_bytes(mask, sizeof(mask))) != 0)
		return r;
	n = FRAME_LEN + f.length + AEAD_TAG;
	ws_mask(head, n, mask, 0);
	hl = ws_header(ws, WS_BINARY, n, mask);
	memcpy(head - hl, ws, hl);
	s->off = WS_HEADER_MAX - hl;
	s->end = WS_HEADER_MAX + n;
	s->sealed_to = trail_clock();
	return 0;
}

static void slot_run(struct job *j)
{
	struct slot *s = (struct slot *)j;

	s->rc = seal_part(s, &s->put->workers[j->worker]);
}

/* ---- the connection, on the caller's thread ---- */

static struct put *put_of(struct drive *d)
{
	return (struct put *)d; /* its first member */
}

static void slot_done(struct job *j);

static int report(struct put *p, bool now)
{
	uint64_t at = clock_ms(), total = p->parts != 0 ? p->res->size : PQX_SIZE_UNKNOWN,
		 done = sender_received(p->sender) * p->capacity;
	struct progress g = {.done = done < total && !p->committed ? done : total, .total = total};

	if (!now && at - p->shown < PROGRESS_MS)
		return 0;
	p->shown = at;
	g.resumed = p->res->resumed_bytes;
	g.committing = p->committed;
	return call_progress(&p->d.call, &g, p->d.e);
}

/* Hand free slots to the workers. */
static int fill(struct put *p)
{
	bool stream = psource_is_stream(p->src);
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

	if ((r = psource_check(p->src, p->d.e)) != 0)
		return r;
	trail_enter(&p->d.call.trail, PHASE_COMMIT);
	tree_init(&t, p->h.suite);
	for (uint64_t i = 0; i < p->parts; i++)
		if ((r = journal_leaf(p->journal, i, leaf)) != 0 || (r = tree_add(&t, leaf)) != 0)
			return r;
	mf.plain_size = p->res->size;
	if ((r = tree_root(&t, mf.root)) == 0 &&
	    (r = pqx_manifest_make(&p->h, &p->k, p->d.call.o->identity, &mf, &b)) == 0) {
		m.manifest = (struct span){b.p, b.len};
		r = link_queue(&p->d.link, &m);
	}
	buf_free(&b);
	p->committed = r == 0;
	return r == 0 ? report(p, true) : r;
}

/* Write what can be written: a frame that has begun, control messages, frames that are ready. */
static int write_ring(struct put *p, unsigned *want)
{
	for (;;) {
		struct slot *s = &p->ring[p->head % p->ring_len];
		ssize_t n;
		int r;

		if (!p->mid_frame && (r = link_flush(&p->d.link, want)) != 0)
			return r;
		if (p->head == p->tail || !s->ready)
			return 0;
		if (!p->mid_frame)
			s->sent_from = trail_clock();
		p->mid_frame = true;
		if ((n = stream_write(p->d.link.st, s->wire + s->off, s->end - s->off, want)) < 0)
			return (int)n;
		s->off += (size_t)n;
		p->d.moved = clock_ms();
		if (s->off < s->end)
			continue;
		p->mid_frame = false;
		trail_work(&p->d.call.trail, WORK_SEND, s->sent_from, trail_clock());
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
		return err_set(p->d.e, r, "the server acknowledged what was not sent");
	retry_progress(&p->d.call.retry);
	if (sender_durable(p->sender) > before)
		psource_release(p->src, sender_durable(p->sender));
	if (p->parts != 0 && sender_received(p->sender) == p->parts &&
	    p->res->seconds_received == 0)
		p->res->seconds_received = (double)(clock_ms() - p->began) / 1000;
	return report(p, false);
}

int put_take_receipt(struct put *p, const struct span *manifest, const struct span *receipt)
{
	struct pqx_bundle *b = malloc(sizeof(*b));
	int r = b == NULL ? PQC_ENOMEM : 0;

	buf_reset(&p->res->receipt);
	if (r == 0)
		r = pqx_receipt_bundle_encode(p->h.raw, manifest, receipt, &p->res->receipt);
	if (r == 0)
		r = pqx_receipt_bundle_check(p->res->receipt.p, p->res->receipt.len, b, p->d.e);
	if (r == 0 && (memcmp(b->receipt.server_id, p->d.link.server_id, ID_LEN) != 0 ||
		       memcmp(b->receipt.client_id, p->res->sender_id, ID_LEN) != 0))
		r = err_set(p->d.e, PQC_EINTEGRITY,
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

	if (session_open(p->d.link.session, ev->p, ev->n, &m) != 0)
		return err_set(p->d.e, PQC_EPROTO, "a message from the server does not open");
	if (m.type == MSG_ACK)
		return on_ack(p, &m);
	if (m.type != MSG_RECEIPT || !p->committed)
		return link_error(&m, p->d.e);
	if ((r = put_take_receipt(p, &m.manifest, &m.receipt)) == 0)
		drive_finish(&p->d, 0);
	return r;
}

static int on_event(struct drive *d, struct ws_event *ev)
{
	if (ev->type != WS_EV_MESSAGE)
		return err_set(d->e, PQC_EPROTO, "the server sent a part, and none was asked for");
	return on_message(put_of(d), ev);
}

static bool all_written(const struct put *p)
{
	return p->parts != 0 && p->sealing == 0 && p->head == p->tail && sender_all_sent(p->sender);
}

static int step(struct drive *d)
{
	struct put *p = put_of(d);
	int r = fill(p);

	if (r == 0 && !p->committed && all_written(p))
		r = commit(p);
	return r;
}

static int write_some(struct drive *d, unsigned *want)
{
	struct put *p = put_of(d);
	int r = write_ring(p, want);

	/* The last part may just have gone. */
	if (r == 0 && !p->committed && all_written(p) && (r = commit(p)) == 0)
		r = link_flush(&d->link, want);
	return r;
}

static void slot_done(struct job *j)
{
	struct slot *s = (struct slot *)j;
	struct put *p = s->put;

	p->sealing--;
	s->ready = true;
	if (s->rc == 0)
		trail_work(&p->d.call.trail, WORK_SEAL, s->sealed_from, s->sealed_to);
	if (p->d.finished)
		return;
	if (s->rc != 0) {
		*p->d.e = s->e;
		drive_finish(&p->d, s->rc);
		return;
	}
	if (s->final && p->parts == 0) {
		p->parts = s->part + 1;
		p->res->size = s->part * p->capacity + s->plain_len;
		sender_set_parts(p->sender, p->parts);
	}
	drive_pump(&p->d);
}

static void reap(struct drive *d)
{
	pool_reap(put_of(d)->pool);
}

static int show(struct drive *d)
{
	return report(put_of(d), false);
}

static bool busy(struct drive *d)
{
	return put_of(d)->sealing > 0;
}

/* On the source, which may be a stream that says nothing for long. */
static bool waiting(struct drive *d)
{
	return put_of(d)->sealing > 0;
}

const struct drive_ops put_drive_ops = {
	.event = on_event,
	.step = step,
	.write = write_some,
	.reap = reap,
	.report = show,
	.waiting = waiting,
	.busy = busy,
};

int put_data(struct put *p)
{
	p->head = p->tail = 0;
	p->sealing = 0;
	p->handed = 0;
	p->committed = p->mid_frame = false;
	return drive_run(&p->d);
}
