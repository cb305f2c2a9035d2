/*
 * One connection: TLS, HTTP head, WebSocket, handshake, then whatever its op
 * does. conn_kick is the only place that reads, writes and sets poll events,
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

#define READ_ROUNDS   16   /* receive calls before other connections get a turn */
#define WRITE_ROUNDS  8	   /* frames sent, likewise */
#define LINGER_MS     2000 /* how long a closed connection waits for the peer's end */
#define TICK_MS	      5000
#define WS_GOING_AWAY 1001

static void put_frame(struct conn *c, enum ws_opcode op, const void *p, size_t n)
{
	uint8_t head[WS_HEADER_MAX];
	size_t k = ws_header(head, op, n, NULL);

	buf_put(&c->out, head, k);
	buf_put(&c->out, p, n);
}

static void put_close(struct conn *c, unsigned code)
{
	uint8_t body[2];

	be16_put(body, (uint16_t)code);
	put_frame(c, WS_CLOSE, body, sizeof(body));
}

int conn_send(struct conn *c, const struct msg *m)
{
	struct buf wire = BUF_INIT(MSG_MAX + 64);
	int r = session_seal(c->session, m, &wire);

	if (r == 0)
		put_frame(c, WS_BINARY, wire.p, wire.len);
	buf_free(&wire);
	return r != 0 ? r : buf_error(&c->out);
}

int conn_reply(struct conn *c, const struct msg *m)
{
	struct buf wire = BUF_INIT(MSG_MAX + 64);
	int r = hs_server_reply(c->hs, m, &wire, &c->session);

	if (r == 0) {
		put_frame(c, WS_BINARY, wire.p, wire.len);
		ws_limits(c->ws, MSG_MAX, c->srv->o.max_part_size + AEAD_TAG);
		hs_server_free(c->hs); /* it holds the request, and in it a file's key */
		c->hs = NULL;
		c->phase = PHASE_OPEN;
	}
	buf_free(&wire);
	return r != 0 ? r : buf_error(&c->out);
}

void conn_finish(struct conn *c)
{
	if (c->ws != NULL && c->phase != PHASE_CLOSING)
		put_close(c, c->srv->forced ? WS_GOING_AWAY : 1000);
	c->phase = PHASE_CLOSING;
	c->close_after_out = true;
}

void conn_fail(struct conn *c, int code, const char *text)
{
	struct msg m = {0};
	int r;

	if (c->phase == PHASE_CLOSING)
		return;
	m.code = (uint8_t)msg_err_to_code(code);
	m.text = (struct span){text, strnlen(text, 512)};
	m.has = 1u << TAG_CODE | 1u << TAG_TEXT;
	if (c->session != NULL) {
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
	transfer_leave(c);
	loop_timer_del(s->loop, &c->timer);
	loop_watch_del(s->loop, &c->w);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	s->conn_count--;
	metric_sub(&s->metrics, M_CONNECTIONS, 1);
	session_free(c->session);
	hs_server_free(c->hs);
	ws_free(c->ws);
	stream_free(c->st);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* ---- reading ---- */

static int on_hello(struct conn *c, const struct ws_event *ev)
{
	struct buf m2 = BUF_INIT(HS_JSON_MAX);
	struct err e = {0};
	int r;

	if (ev->op != WS_TEXT)
		return PQC_EPROTO;
	if ((r = hs_server_new(&c->hs, c->srv->id, c->srv->bundle)) != 0)
		return r;
	r = hs_server_hello(c->hs, ev->p, ev->n, &m2, &e);
	if (m2.len > 0)
		put_frame(c, WS_TEXT, m2.p, m2.len);
	buf_free(&m2);
	ws_limits(c->ws, HS_M3_MAX, 0);
	c->phase = PHASE_REQUEST;
	if (r != 0) {
		log_event(c->srv->log, LOG_INFO, "handshake.refused",
			  (struct log_field[]){
				  log_str("peer", c->peer), log_str("reason", e.msg), {0}});
		metric_add(&c->srv->metrics, M_PROTO_ERRORS, 1);
		conn_finish(c);
	}
	return buf_error(&c->out);
}

static int on_request(struct conn *c, const struct ws_event *ev)
{
	struct msg m;
	int r;

	if (ev->op != WS_BINARY)
		return PQC_EPROTO;
	r = hs_server_request(c->hs, ev->p, ev->n, clock_unix(), c->client_id, &m);
	if (r != 0) {
		metric_add(&c->srv->metrics, M_AUTH_FAILED, 1);
		log_event(c->srv->log, LOG_WARN, "handshake.failed",
			  (struct log_field[]){log_str("peer", c->peer), {0}});
		return r;
	}
	metric_add(&c->srv->metrics, M_KEY_EXCHANGES, 1);
	c->phase = PHASE_BUSY;
	request_start(c, &m);
	return 0;
}

static int on_message(struct conn *c, struct ws_event *ev)
{
	struct err e = {0};
	struct msg m;
	int r;

	switch (c->phase) {
	case PHASE_HELLO:
		return on_hello(c, ev);
	case PHASE_REQUEST:
		return on_request(c, ev);
	case PHASE_OPEN:
		if (ev->op != WS_BINARY || session_open(c->session, ev->p, ev->n, &m) != 0) {
			conn_fail(c, PQC_EPROTO, "message not understood");
			return 0;
		}
		if (m.type == MSG_ERROR) { /* the client gives up, and says so */
			conn_finish(c);
			return 0;
		}
		r = err_set(&e, PQC_EPROTO, "nothing is expected from the client now");
		if (c->op != NULL && c->op->control != NULL)
			r = c->op->control(c, &m, &e);
		if (r != 0)
			conn_fail(c, r, e.msg);
		return 0;
	case PHASE_CLOSING:
		return 0;
	default:
		return PQC_EPROTO;
	}
}

/* WS_EV_DATA, now or asked again: false while the op has no room. */
static int begin_data(struct conn *c, const struct ws_event *ev)
{
	struct err e = {0};
	uint8_t *into = NULL;
	int r;

	if (c->phase != PHASE_OPEN || c->op == NULL || c->op->data == NULL)
		r = err_set(&e, PQC_EPROTO, "no part is expected now");
	else
		r = c->op->data(c, ev, &into, &e);
	if (r != 0) {
		conn_fail(c, r, e.msg);
		return 0;
	}
	c->pending = *ev;
	if (into != NULL) {
		c->pending.type = WS_EV_NONE;
		ws_data_into(c->ws, into);
	}
	return 0;
}

static int on_event(struct conn *c, struct ws_event *ev)
{
	struct err e = {0};
	int r;

	switch (ev->type) {
	case WS_EV_MESSAGE:
		return on_message(c, ev);
	case WS_EV_DATA:
		return begin_data(c, ev);
	case WS_EV_DATA_END:
		if ((r = c->op->data_end(c, &e)) != 0)
			conn_fail(c, r, e.msg);
		return 0;
	case WS_EV_PING:
		if (c->out.len < OUT_MAX / 2)
			put_frame(c, WS_PONG, ev->p, ev->n);
		return 0;
	case WS_EV_CLOSE:
		conn_finish(c);
		return 0;
	default:
		return 0;
	}
}

static int ws_events(struct conn *c)
{
	struct ws_event ev;
	unsigned code = 0;
	int r;

	while (c->pending.type == WS_EV_NONE && c->phase != PHASE_CLOSING &&
	       c->phase != PHASE_BUSY) {
		if ((r = ws_next(c->ws, &ev, &code)) != 0) {
			metric_add(&c->srv->metrics, M_PROTO_ERRORS, 1);
			put_close(c, code);
			c->phase = PHASE_CLOSING;
			c->close_after_out = true;
			return 0;
		}
		if (ev.type == WS_EV_NONE)
			break;
		if ((r = on_event(c, &ev)) != 0)
			return r;
	}
	return 0;
}

static bool origin_allowed(const struct server *s, const char *origin)
{
	if (origin[0] == '\0')
		return true;
	for (size_t i = 0; s->o.origins != NULL && s->o.origins[i] != NULL; i++)
		if (strcmp(s->o.origins[i], origin) == 0)
			return true;
	return false;
}

static void http_error(struct conn *c, int status, const char *text)
{
	http_response(&c->out, status, "text/plain; charset=utf-8", text, strlen(text), false,
		      false, NULL);
	conn_finish(c);
}

static int upgrade(struct conn *c, const struct http_request *r, size_t used)
{
	struct ws_opts o = {.server = true, .data_kind = WIRE_DATA, .message_max = HS_JSON_MAX};
	int rc;

	if ((rc = http_upgrade_response(&c->out, r->ws_key)) != 0 ||
	    (rc = ws_new(&c->ws, &o)) != 0 ||
	    (rc = ws_feed(c->ws, c->in.p + used, c->in.len - used)) != 0)
		return rc;
	buf_free(&c->in);
	c->phase = PHASE_HELLO;
	return ws_events(c);
}

static int on_http(struct conn *c)
{
	struct http_request r;
	size_t used;
	int status, rc = http_parse_request(c->in.p, c->in.len, &r, &used, &status);

	if (rc == PQC_EAGAIN)
		return 0;
	if (rc != 0)
		http_error(c, status, "bad request\n");
	else if (r.upgrade_asked && !origin_allowed(c->srv, r.origin))
		http_error(c, 403, "this origin is not allowed\n");
	else if (r.upgrade_asked && !r.upgrade)
		http_error(c, 400, "not a WebSocket version 13 upgrade\n");
	else if (r.upgrade && strcmp(r.path, "/") != 0 && strcmp(r.path, "/ws") != 0)
		http_error(c, 404, "WebSocket lives at / and /ws\n");
	else if (r.upgrade && c->srv->draining)
		http_error(c, 503, "draining\n");
	else if (r.upgrade)
		return upgrade(c, &r, used);
	else {
		http_api(c->srv, &r, &c->out);
		conn_finish(c);
	}
	return 0;
}

static int read_http(struct conn *c, unsigned *want)
{
	uint8_t tmp[4096];
	ssize_t n = stream_read(c->st, tmp, sizeof(tmp), want);

	if (n < 0)
		return (int)n;
	buf_put(&c->in, tmp, (size_t)n);
	return buf_error(&c->in) != 0 ? PQC_EPROTO : on_http(c);
}

static int read_ws(struct conn *c, unsigned *want)
{
	uint8_t *p;
	size_t n;
	ssize_t got;

	ws_want(c->ws, &p, &n);
	if (n == 0)
		return PQC_EAGAIN;
	if ((got = stream_read(c->st, p, n, want)) < 0)
		return (int)got;
	ws_got(c->ws, (size_t)got);
	return ws_events(c);
}

static int read_and_drop(struct conn *c, unsigned *want)
{
	uint8_t tmp[16384];
	ssize_t n = stream_read(c->st, tmp, sizeof(tmp), want);

	return n < 0 ? (int)n : 0;
}

static bool may_read(const struct conn *c)
{
	if (c->eof)
		return false;
	if (c->phase == PHASE_CLOSING)
		return true;
	return c->phase != PHASE_BUSY && c->pending.type == WS_EV_NONE && c->out.len < OUT_MAX / 2;
}

static int do_read(struct conn *c, unsigned *want)
{
	int r = 0;

	if (c->pending.type == WS_EV_DATA) {
		struct ws_event ev = c->pending;

		r = begin_data(c, &ev);
	}
	if (r == 0 && c->ws != NULL)
		r = ws_events(c);
	for (int i = 0; r == 0 && i < READ_ROUNDS && may_read(c); i++) {
		if (c->phase == PHASE_CLOSING)
			r = read_and_drop(c, want);
		else
			r = c->phase == PHASE_HTTP ? read_http(c, want) : read_ws(c, want);
		if (r == 0)
			c->heard = clock_ms();
	}
	return r == PQC_EAGAIN ? 0 : r;
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
	r = do_read(c, &want_read);
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
	*events = (may_read(c) ? want_read : 0) | (r == PQC_EAGAIN ? want_write : 0);
	/* What TLS has decrypted already raises no event: a writable socket does, at once. */
	if (may_read(c) && stream_pending(c->st))
		*events |= LOOP_WRITE;
	return 0;
}

void conn_kick(struct conn *c)
{
	unsigned events = 0;
	int r = pump(c, &events);

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
	bool hello = c->phase <= PHASE_REQUEST;

	if (c->lingering || (hello && now - c->opened >= HANDSHAKE_MS) ||
	    (silent >= IDLE_MS && c->task == NULL)) {
		conn_close(c);
		return;
	}
	loop_timer_set(c->srv->loop, &c->timer, TICK_MS);
	if (c->phase == PHASE_OPEN && silent >= PING_MS && !c->mid_frame && c->out.len == 0) {
		put_frame(c, WS_PING, NULL, 0);
		conn_kick(c);
	}
}

void conn_accept(struct server *s, int fd, const char *peer)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL || stream_new(fd, s->tls, NULL, &c->st) != 0) {
		free(c);
		close(fd);
		return;
	}
	c->srv = s;
	c->phase = s->tls != NULL ? PHASE_TLS : PHASE_HTTP;
	c->heard = c->opened = clock_ms();
	buf_init(&c->in, HTTP_HEAD_MAX + 4096);
	buf_init(&c->out, OUT_MAX);
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	c->next = s->conns;
	if (s->conns != NULL)
		s->conns->prev = c;
	s->conns = c;
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
