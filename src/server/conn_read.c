/*
 * What a connection reads: an HTTP head, then the messages of the handshake, then those of its op.
 * What went wrong is answered here or returned; conn.c closes.
 */
#include <string.h>

#include "base/clock.h"
#include "server/internal.h"

#define READ_ROUNDS 16 /* receive calls before other connections get a turn */

static int on_hello(struct conn *c, const struct ws_event *ev)
{
	struct buf m2 = BUF_INIT(HS_JSON_MAX);
	uint64_t began = clock_ns();
	struct err e = {0};
	int r;

	if (ev->op != WS_TEXT) {
		metric_add(&c->srv->metrics, M_HS_MALFORMED, 1);
		return PQC_EPROTO;
	}
	if ((r = hs_server_new(&c->hs, c->srv->id, c->srv->bundle)) != 0)
		return r;
	r = hs_server_hello(c->hs, ev->p, ev->n, &m2, &e);
	if (m2.len > 0)
		conn_put_frame(c, WS_TEXT, m2.p, m2.len);
	buf_free(&m2);
	ws_limits(c->ws, HS_M3_MAX, 0);
	c->phase = PHASE_REQUEST;
	if (r != 0) {
		log_event(c->srv->log, LOG_INFO, "handshake.refused",
			  (struct log_field[]){
				  log_str("peer", c->peer), log_str("reason", e.msg), {0}});
		metric_add(&c->srv->metrics, M_PROTO_ERRORS, 1);
		metric_add(&c->srv->metrics, r == PQC_EREFUSED ? M_HS_SUITE : M_HS_MALFORMED, 1);
		conn_finish(c);
	}
	c->exchange_ns = clock_ns() - began;
	return buf_error(&c->out);
}

static int on_request(struct conn *c, const struct ws_event *ev)
{
	uint64_t began = clock_ns();
	struct msg m;
	int r;

	if (ev->op != WS_BINARY) {
		metric_add(&c->srv->metrics, M_HS_MALFORMED, 1);
		return PQC_EPROTO;
	}
	r = hs_server_request(c->hs, ev->p, ev->n, clock_unix(), c->client_id, &m);
	c->exchange_ns += clock_ns() - began;
	if (r != 0) {
		metric_add(&c->srv->metrics, M_AUTH_FAILED, 1);
		metric_add(&c->srv->metrics,
			   r == PQC_EREFUSED ? M_HS_AUTHENTICATION : M_HS_INTERNAL, 1);
		log_event(c->srv->log, LOG_WARN, "handshake.failed",
			  (struct log_field[]){log_str("peer", c->peer), {0}});
		return r;
	}
	metric_add(&c->srv->metrics, M_KEY_EXCHANGES, 1);
	transfer_requested(c, &m);
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
			conn_put_frame(c, WS_PONG, ev->p, ev->n);
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
			conn_put_close(c, code);
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
	else if (r.upgrade_asked && !origin_allowed(c->srv, r.origin)) {
		metric_add(&c->srv->metrics, M_HS_ORIGIN, 1);
		http_error(c, 403, "this origin is not allowed\n");
	} else if (r.upgrade_asked && !r.upgrade)
		http_error(c, 400, "not a WebSocket version 13 upgrade\n");
	else if (r.upgrade_asked && c->monitor)
		http_error(c, 404, "no transfers here: this is for operators\n");
	else if (r.upgrade && strcmp(r.path, "/") != 0 && strcmp(r.path, "/ws") != 0)
		http_error(c, 404, "WebSocket lives at / and /ws\n");
	else if (r.upgrade && c->srv->draining)
		http_error(c, 503, "draining\n");
	else if (r.upgrade)
		return upgrade(c, &r, used);
	else {
		http_api(c, &r);
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
	c->got += (size_t)got;
	return ws_events(c);
}

static int read_and_drop(struct conn *c, unsigned *want)
{
	uint8_t tmp[16384];
	ssize_t n = stream_read(c->st, tmp, sizeof(tmp), want);

	return n < 0 ? (int)n : 0;
}

bool conn_may_read(const struct conn *c)
{
	if (c->eof)
		return false;
	if (c->phase == PHASE_CLOSING)
		return true;
	return c->phase != PHASE_BUSY && c->pending.type == WS_EV_NONE && c->out.len < OUT_MAX / 2;
}

int conn_read(struct conn *c, unsigned *want)
{
	int r = 0;

	if (c->pending.type == WS_EV_DATA) {
		struct ws_event ev = c->pending;

		r = begin_data(c, &ev);
	}
	if (r == 0 && c->ws != NULL)
		r = ws_events(c);
	for (int i = 0; r == 0 && i < READ_ROUNDS && conn_may_read(c); i++) {
		if (c->phase == PHASE_CLOSING)
			r = read_and_drop(c, want);
		else
			r = c->phase == PHASE_HTTP ? read_http(c, want) : read_ws(c, want);
		if (r == 0)
			c->heard = clock_ms();
	}
	return r == PQC_EAGAIN ? 0 : r;
}
