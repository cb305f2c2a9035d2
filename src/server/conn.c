/*
 * One connection: TLS, HTTP head, WebSocket, handshake, then whatever its op
 * does. conn_kick is the only place that reads (conn_read.c), writes and sets poll events,
 * and with the timer the only one that closes.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/internal.h"

#define WRITE_ROUNDS  8	   /* frames sent, likewise */
#define LINGER_MS     2000 /* how long a closed connection waits for the peer's end */
#define TICK_MS	      5000
#define WS_GOING_AWAY 1001
#define BEHIND	      (256u << 10) /* bytes at one turn: they were there before we were */

void conn_put_frame(struct conn *c, enum ws_opcode op, const void *p, size_t n)
{
	uint8_t head[WS_HEADER_MAX];
	size_t k = ws_header(head, op, n, NULL);

	buf_put(&c->out, head, k);
	buf_put(&c->out, p, n);
}

void conn_put_close(struct conn *c, unsigned code)
{
	uint8_t body[2];

	be16_put(body, (uint16_t)code);
	conn_put_frame(c, WS_CLOSE, body, sizeof(body));
}

int conn_send(struct conn *c, const struct msg *m)
{
	struct buf wire = BUF_INIT(MSG_MAX + 64);
	int r = session_seal(c->session, m, &wire);

	if (r == 0)
		conn_put_frame(c, WS_BINARY, wire.p, wire.len);
	buf_free(&wire);
	return r != 0 ? r : buf_error(&c->out);
}

static int first_reply(struct conn *c, const struct msg *m)
{
	struct buf wire = BUF_INIT(MSG_MAX + 64);
	int r = hs_server_reply(c->hs, m, &wire, &c->session);

	if (r == 0) {
		conn_put_frame(c, WS_BINARY, wire.p, wire.len);
		ws_limits(c->ws, MSG_MAX, c->srv->o.max_part_size + AEAD_TAG);
		hs_server_free(c->hs); /* it holds the request, and in it a file's key */
		c->hs = NULL;
		c->phase = PHASE_OPEN;
	}
	buf_free(&wire);
	return r != 0 ? r : buf_error(&c->out);
}

int conn_reply(struct conn *c, const struct msg *m)
{
	c->replied = m->status != ST_QUEUED;
	return c->session == NULL ? first_reply(c, m) : conn_send(c, m);
}

void conn_finish(struct conn *c)
{
	if (c->place.waiting)
		admit_leave(c, NULL);
	if (c->ws != NULL && c->phase != PHASE_CLOSING)
		conn_put_close(c, c->srv->forced ? WS_GOING_AWAY : 1000);
	c->phase = PHASE_CLOSING;
	c->close_after_out = true;
}

void conn_fail(struct conn *c, int code, const char *text)
{
	struct msg m = {0};
	int r;

	if (c->phase == PHASE_CLOSING)
		return;
	transfer_end(c, transfer_verdict(code), code);
	m.code = (uint8_t)msg_err_to_code(code);
	m.text = (struct span){text, strnlen(text, 512)};
	m.has = 1u << TAG_CODE | 1u << TAG_TEXT;
	if (c->replied) {
		m.type = MSG_ERROR;
		r = conn_send(c, &m);
	} else {
		m.type = MSG_REPLY;
		m.status = ST_ERROR;
		m.has |= 1u << TAG_STATUS;
		r = conn_reply(c, &m);
	}
	if (code == PQC_EPROTO)
		metric_add(&c->srv->metrics, M_PROTO_ERRORS, 1);
	if (r != 0)
		buf_reset(&c->out);
	conn_finish(c);
}

void conn_close(struct conn *c)
{
	struct server *s = c->srv;

	if (c->op != NULL && c->op->detach != NULL)
		c->op->detach(c);
	if (c->task != NULL)
		c->task->c = NULL;
	transfer_end(c, R_INTERRUPTED, PQC_ECLOSED);
	admit_leave(c, NULL);
	loop_timer_del(s->loop, &c->timer);
	loop_watch_del(s->loop, &c->w);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->monitor)
		s->monitor_count--;
	else
		s->conn_count--;
	metric_sub(&s->metrics, M_CONNECTIONS, 1);
	transfer_free(&c->t);
	session_free(c->session);
	hs_server_free(c->hs);
	ws_free(c->ws);
	stream_free(c->st);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* ---- writing ---- */

static int write_out(struct conn *c, unsigned *want)
{
	size_t off = 0;
	ssize_t n = 0;

	while (off < c->out.len &&
	       (n = stream_write(c->st, c->out.p + off, c->out.len - off, want)) >= 0)
		off += (size_t)n;
	buf_consume(&c->out, off);
	return n < 0 ? (int)n : 0;
}

static int do_write(struct conn *c, unsigned *want)
{
	struct err e = {0};
	int r;

	for (int rounds = 0;; rounds++) {
		if (!c->mid_frame && (r = write_out(c, want)) != 0)
			return r;
		if (c->phase != PHASE_OPEN && c->mid_frame)
			return PQC_ECLOSED; /* no last words inside a frame */
		if (c->phase != PHASE_OPEN || c->op == NULL || c->op->write == NULL)
			break;
		if (rounds == WRITE_ROUNDS) {
			*want = LOOP_WRITE;
			return PQC_EAGAIN;
		}
		r = c->op->write(c, want, &e);
		if (r == PQC_EAGAIN || (r < 0 && c->mid_frame))
			return r;
		if (r < 0)
			conn_fail(c, r, e.msg);
		if (r == 0)
			break;
	}
	if (c->eof && c->out.len == 0)
		return PQC_ECLOSED;
	if (c->close_after_out && c->out.len == 0 && !c->lingering) {
		c->lingering = true;
		if (shutdown(stream_fd(c->st), SHUT_WR) != 0)
			return PQC_ECLOSED;
		loop_timer_set(c->srv->loop, &c->timer, LINGER_MS);
	}
	return 0;
}

static int pump(struct conn *c, unsigned *events)
{
	unsigned want_read = LOOP_READ, want_write = 0;
	struct err e = {0};
	int r;

	if (c->phase == PHASE_TLS) {
		r = stream_handshake(c->st, events, &e);
		if (r == PQC_EAGAIN)
			return 0;
		if (r != 0)
			return r;
		c->phase = PHASE_HTTP;
	}
	r = conn_read(c, &want_read);
	if (r == PQC_ECLOSED && c->out.len > 0) {
		/* The peer has said all it wants to say, and may still be listening. */
		c->eof = c->close_after_out = true;
		c->phase = PHASE_CLOSING;
		r = 0;
	}
	if (r != 0)
		return r;
	r = do_write(c, &want_write);
	if (r != 0 && r != PQC_EAGAIN)
		return r;
	*events = (conn_may_read(c) ? want_read : 0) | (r == PQC_EAGAIN ? want_write : 0);
	/* What TLS has decrypted already raises no event: a writable socket does, at once. */
	if (conn_may_read(c) && stream_pending(c->st))
		*events |= LOOP_WRITE;
	return 0;
}

/*
 * Where the time of a transfer goes. What passed since the last turn was a wait: for us when there was no room for
 * what came, or so much has come that it must have waited; else for the peer. The turn itself is ours.
 */
static void account(struct conn *c, uint64_t began)
{
	struct metrics *m = &c->srv->metrics;
	uint64_t now = clock_ns(), wait = began - c->mark;
	bool ours = c->behind || c->got >= BEHIND;

	metric_time(m, ours ? M_ACT_WAIT_SERVER : M_ACT_WAIT_PEER, wait);
	metric_time(m, M_ACT_WAIT_SERVER, now - began);
	c->behind = c->pending.type == WS_EV_DATA;
	c->mark = now;
}

static int pump_counted(struct conn *c, unsigned *events)
{
	bool counted = c->t.state == T_DATA;
	uint64_t began = counted ? clock_ns() : 0;
	int r;

	c->got = 0;
	r = pump(c, events);
	if (counted && c->t.state == T_DATA)
		account(c, began);
	return r;
}

void conn_kick(struct conn *c)
{
	unsigned events = 0;
	int r = pump_counted(c, &events);

	if (r == 0)
		r = loop_watch_set(c->srv->loop, &c->w, events);
	if (r != 0)
		conn_close(c);
}

static void on_ready(struct watch *w, unsigned ready)
{
	struct conn *c = (struct conn *)((char *)w - offsetof(struct conn, w));

	/* A hang-up while we neither read nor write would be reported for ever. */
	if (ready != 0 && w->events == 0)
		conn_close(c);
	else
		conn_kick(c);
}

static void on_timer(struct timer *t)
{
	struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));
	uint64_t now = clock_ms(), silent = now - c->heard;
	bool late = c->phase <= PHASE_REQUEST && now - c->accepted / 1000000 >= HANDSHAKE_MS;

	if (late && c->ws != NULL)
		metric_add(&c->srv->metrics, M_HS_TIMEOUT, 1);
	if (c->lingering || late || (silent >= IDLE_MS && c->task == NULL)) {
		conn_close(c);
		return;
	}
	loop_timer_set(c->srv->loop, &c->timer, TICK_MS);
	if (c->phase == PHASE_OPEN && silent >= PING_MS && !c->mid_frame && c->out.len == 0) {
		conn_put_frame(c, WS_PING, NULL, 0);
		conn_kick(c);
	}
}

void conn_accept(struct listener *l, int fd, const char *peer)
{
	struct server *s = l->server;
	struct tls_ctx *tls = l->monitor ? NULL : s->tls;
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL || stream_new(fd, tls, NULL, &c->st) != 0) {
		free(c);
		close(fd);
		return;
	}
	c->srv = s;
	c->monitor = l->monitor;
	c->phase = tls != NULL ? PHASE_TLS : PHASE_HTTP;
	c->heard = clock_ms();
	c->accepted = clock_ns();
	buf_init(&c->in, HTTP_HEAD_MAX + 4096);
	buf_init(&c->out, OUT_MAX);
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	c->next = s->conns;
	if (s->conns != NULL)
		s->conns->prev = c;
	s->conns = c;
	if (c->monitor)
		s->monitor_count++;
	else
		s->conn_count++;
	metric_add(&s->metrics, M_CONNECTIONS, 1);
	c->timer.cb = on_timer;
	loop_timer_set(s->loop, &c->timer, TICK_MS);
	c->w = (struct watch){.fd = fd, .events = LOOP_READ, .cb = on_ready};
	if (loop_watch_add(s->loop, &c->w) != 0)
		conn_close(c);
}

/* ---- disk tasks ---- */

static void task_run(struct job *j)
{
	struct task *t = (struct task *)((char *)j - offsetof(struct task, job));

	t->run(t);
}

static void task_done(struct job *j)
{
	struct task *t = (struct task *)((char *)j - offsetof(struct task, job));
	struct conn *c = t->c;

	if (c != NULL)
		c->task = NULL;
	t->done(t, c); /* may free t, but not c */
	if (c != NULL)
		conn_kick(c);
}

void task_start(struct conn *c, struct task *t)
{
	t->srv = c->srv;
	t->c = c;
	t->job = (struct job){.run = task_run, .done = task_done};
	c->task = t;
	pool_submit(c->srv->disk, &t->job);
}
