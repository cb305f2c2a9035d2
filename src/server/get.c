/*
 * Get: the stored parts go out as they are, by sendfile. The client asks for
 * ranges; each part is one WebSocket frame of a 32-byte head and the part.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/secmem.h"
#include "protocol/partset.h"
#include "server/internal.h"

#define SEND_MAX (1u << 20) /* bytes a connection sends before others get a turn */
#define AHEAD	 (8u << 20) /* read-ahead asked of the kernel */

struct get {
	struct object *o;
	struct partset want;
	size_t range;  /* the one being sent */
	uint64_t part; /* the next within it */
	uint64_t parts, sequence, sent, began;
	uint8_t head[WS_HEADER_MAX + FRAME_LEN];
	size_t head_len, head_off;
	uint64_t off, left;  /* of the part being sent, in the body */
	bool fetched;	     /* there was a FETCH */
	uint64_t part_began; /* clock_ns */
	uint64_t advised;    /* up to where in the body read-ahead was asked for */
};

static uint64_t part_len(const struct get *g, uint64_t part)
{
	uint64_t size = object_header(g->o)->part_size, start = part * size;

	return part + 1 < g->parts ? size : object_body_len(g->o) - start;
}

static int op_control(struct conn *c, const struct msg *m, struct err *e)
{
	struct get *g = c->state;
	const struct partrange *last;

	if (m->type != MSG_FETCH || g->range < g->want.n || c->mid_frame)
		return err_set(e, PQC_EPROTO,
			       "only FETCH is expected, when the last one is answered");
	partset_clear(&g->want);
	if (partset_decode(m->ranges.p, m->ranges.n, &g->want) != 0 || g->want.n == 0)
		return err_set(e, PQC_EPROTO, "malformed ranges");
	last = &g->want.r[g->want.n - 1];
	if (last->first + last->count > g->parts)
		return err_set(e, PQC_EPROTO, "part %llu was asked for, there are %llu",
			       (unsigned long long)(last->first + last->count - 1),
			       (unsigned long long)g->parts);
	g->fetched = true;
	g->range = 0;
	g->advised = 0;
	g->part = g->want.r[0].first;
	return 0;
}

/* Have the kernel read what comes next, half of AHEAD at a time: asking twice for the same costs. */
static void read_ahead(struct get *g)
{
	uint64_t from = g->off > g->advised ? g->off : g->advised, to = g->off + AHEAD;

	if (to < from + AHEAD / 2)
		return;
	posix_fadvise(object_body_fd(g->o), (off_t)from, (off_t)(to - from), POSIX_FADV_WILLNEED);
	g->advised = to;
}

/* Make the head of the next part's frame; false when everything asked for is sent. */
static bool next_part(struct conn *c, struct get *g)
{
	struct frame f = {0};
	uint64_t n;

	if (g->range >= g->want.n)
		return false;
	n = part_len(g, g->part);
	f.flags = g->part + 1 == g->parts ? FRAME_FINAL : 0;
	f.part = g->part;
	f.sequence = g->sequence++;
	f.length = (uint32_t)n;
	g->head_len = ws_header(g->head, WS_BINARY, FRAME_LEN + n, NULL);
	frame_encode(&f, g->head + g->head_len);
	g->head_len += FRAME_LEN;
	g->head_off = 0;
	g->off = g->part * object_header(g->o)->part_size;
	g->left = n;
	c->mid_frame = true;
	g->part_began = clock_ns();
	read_ahead(g);
	return true;
}

static void part_sent(struct get *g)
{
	const struct partrange *r = &g->want.r[g->range];

	if (++g->part == r->first + r->count && ++g->range < g->want.n)
		g->part = g->want.r[g->range].first;
}

static void count_part(struct conn *c, const struct get *g)
{
	uint64_t now = clock_ns();

	metric_add(&c->srv->metrics, M_PARTS_OUT, 1);
	metric_time(&c->srv->metrics, M_ACT_SEND, now - g->part_began);
	busy_add(&c->t.send, g->part_began, now);
}

static int op_write(struct conn *c, unsigned *want, struct err *e)
{
	struct get *g = c->state;
	ssize_t n;

	if (!c->mid_frame && !next_part(c, g))
		return 0;
	while (g->head_off < g->head_len) {
		n = stream_write(c->st, g->head + g->head_off, g->head_len - g->head_off, want);
		if (n < 0)
			return (int)n;
		g->head_off += (size_t)n;
	}
	while (g->left > 0) {
		n = stream_sendfile(c->st, object_body_fd(g->o), g->off,
				    g->left < SEND_MAX ? g->left : SEND_MAX, want);
		if (n < 0)
			return n == PQC_EAGAIN ? (int)n : err_set(e, PQC_ECLOSED, "cannot send");
		g->off += (size_t)n;
		g->left -= (size_t)n;
		g->sent += (size_t)n;
		c->t.bytes = g->sent;
		metric_add(&c->srv->metrics, M_BYTES_OUT, (uint64_t)n);
	}
	metric_add(&c->srv->metrics, M_PARTS_OUT, 1);
	part_sent(g);
	count_part(c, g);
	c->mid_frame = false;
	c->heard = clock_ms(); /* the peer takes what we send: it is alive */
	return 1;
}

static void op_detach(struct conn *c)
{
	struct get *g = c->state;
	bool done = g->fetched && g->range >= g->want.n && !c->mid_frame;

	c->t.bytes = g->sent;
	transfer_end(c, done ? R_DONE : R_INTERRUPTED, done ? 0 : PQC_ECLOSED);
	log_event(c->srv->log, LOG_INFO, done ? "get.done" : "get.interrupted",
		  (struct log_field[]){log_trace(c),
				       log_name("name", object_info(g->o)->name),
				       log_id("client_id", c->client_id),
				       log_u64("sent_bytes", g->sent),
				       log_u64("milliseconds", clock_ms() - g->began),
				       {0}});
	object_free(g->o);
	partset_free(&g->want);
	free(g);
}

static const struct op get_op = {.control = op_control, .write = op_write, .detach = op_detach};

static int reply(struct conn *c, const struct get *g, struct pqx_keys *k)
{
	const struct pqx_header *h = object_header(g->o);
	struct msg m = {.type = MSG_REPLY, .status = ST_ACCEPTED};

	m.header = (struct span){h->raw, PQX_HEADER_LEN};
	m.dek = (struct span){k->dek, KEY_LEN};
	m.manifest = object_manifest(g->o);
	m.receipt = object_receipt(g->o);
	m.size = object_info(g->o)->size;
	m.has = 1u << TAG_STATUS | 1u << TAG_HEADER | 1u << TAG_DEK | 1u << TAG_MANIFEST |
		1u << TAG_RECEIPT | 1u << TAG_SIZE;
	return conn_reply(c, &m);
}

void get_start(struct conn *c, struct object *o)
{
	struct pqx_keys k = {0};
	struct get *g = calloc(1, sizeof(*g));
	int r = g == NULL ? PQC_ENOMEM : 0;

	if (r == 0) {
		g->o = o;
		g->began = clock_ms();
		r = pqx_part_count(object_header(o)->part_size, object_info(o)->size, &g->parts);
	}
	if (r == 0)
		r = request_dek(c->srv, object_header(o), object_keyblock(o), &k);
	if (r == 0)
		r = reply(c, g, &k);
	secret_wipe(&k, sizeof(k));
	if (r != 0) {
		object_free(o);
		free(g);
		conn_fail(c, PQC_EFAIL, "the server could not open the object");
		return;
	}
	c->op = &get_op;
	c->state = g;
	c->t.size = object_info(o)->size;
	memcpy(c->t.file_id, object_info(o)->file_id, 32);
	transfer_opened(c, 0);
	log_event(c->srv->log, LOG_INFO, "get.begun",
		  (struct log_field[]){log_trace(c),
				       log_name("name", object_info(o)->name),
				       log_id("client_id", c->client_id),
				       log_str("peer", c->peer),
				       log_u64("bytes", object_info(o)->size),
				       {0}});
}
