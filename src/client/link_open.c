/* A connection's way up: the socket, TLS, WebSocket, the handshake, the server's queue. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/known.h"
#include "client/link_impl.h"
#include "crypto/secmem.h"
#include "net/http.h"

static int upgrade(struct link *l, struct deadline *d, struct err *e)
{
	struct ws_opts o = {.server = false, .data_kind = WIRE_DATA, .message_max = MSG_MAX};
	struct buf key = BUF_INIT(64), in = BUF_INIT(HTTP_HEAD_MAX);
	uint8_t nonce[16], tmp[2048];
	size_t n, used = 0;
	int r;

	if ((r = random_bytes(nonce, sizeof(nonce))) != 0)
		goto out;
	base64_encode(&key, nonce, sizeof(nonce));
	http_upgrade_request(&l->out, l->call->u->host_port, "/", buf_cstr(&key));
	if ((r = link_flush_all(l, d, e)) != 0)
		goto out;
	do {
		n = sizeof(tmp);
		if ((r = link_read(l, tmp, &n, d, e)) != 0)
			goto out;
		buf_put(&in, tmp, n);
		if ((r = buf_error(&in)) != 0) {
			err_set(e, PQC_EPROTO, "%s is no PQC server: its answer is too long",
				l->call->u->host_port);
			goto out;
		}
	} while ((r = http_parse_upgrade(in.p, in.len, buf_cstr(&key), &used, e)) == PQC_EAGAIN);
	if (r != 0) {
		err_prefix(e, "%s", l->call->u->host_port);
		goto out;
	}
	if ((r = ws_new(&l->ws, &o)) == 0)
		r = ws_feed(l->ws, in.p + used, in.len - used);
out:
	buf_free(&key);
	buf_free(&in);
	return r;
}

/* Is this the server we want? */
static int check_pin(struct link *l, bool *pinned, struct err *e)
{
	const struct client_opts *o = l->call->o;
	uint8_t old[ID_LEN];
	char want[2 * ID_LEN + 1], got[2 * ID_LEN + 1];
	int r;

	*pinned = false;
	hex_encode(l->server_id, ID_LEN, got);
	if (o->expect_id != NULL) {
		hex_encode(o->expect_id, ID_LEN, want);
		if (memcmp(o->expect_id, l->server_id, ID_LEN) != 0)
			return err_set(e, PQC_EIDENTITY_CHANGED, "%s is %s, not the expected %s",
				       l->call->u->host_port, got, want);
		*pinned = true;
		return 0;
	}
	r = known_check(o->known_servers, l->call->u->host_port, l->server_id, old, e);
	*pinned = r == 0;
	if (r == PQC_EIDENTITY_CHANGED) {
		hex_encode(old, ID_LEN, want);
		return err_set(e, r,
			       "THE IDENTITY OF %s HAS CHANGED: pinned %s, now %s. Someone may be "
			       "in between, "
			       "or the server has a new key. If its owner confirms the new one: "
			       "pqc trust remove %s && pqc trust add %s %s",
			       l->call->u->host_port, want, got, l->call->u->host_port,
			       l->call->u->host_port, got);
	}
	if (r != PQC_EUNKNOWN_SERVER || !o->accept_new)
		return r != PQC_EUNKNOWN_SERVER
			       ? r
			       : err_set(e, r,
					 "%s is not known here; its identity is %s. Compare with "
					 "its "
					 "owner, then: pqc trust add %s %s (or use --accept-new "
					 "once)",
					 l->call->u->host_port, got, l->call->u->host_port, got);
	*pinned = true;
	return 0;
}

/* The way to where the handshake begins. */
static int connect_to(struct link *l, struct deadline *d, struct err *e)
{
	const struct client_opts *o = l->call->o;
	const struct url *u = l->call->u;
	unsigned want;
	int fd, r;

	if ((r = link_cancelled(l, e)) != 0)
		return r;
	if (u->tls && o->tls == NULL)
		return err_set(e, PQC_EUSAGE, "%s asks for TLS, and none is set up", u->host_port);
	if ((r = net_dial(u, o->connect_ms, o->cancel, &fd, e)) != 0)
		return r;
	if ((r = stream_new(fd, u->tls ? o->tls : NULL, u->host, &l->st)) != 0) {
		close(fd);
		return err_set(e, r, "cannot set up the connection");
	}
	while ((r = stream_handshake(l->st, &want, e)) == PQC_EAGAIN)
		if ((r = link_wait(l, want, d, e)) != 0)
			return r;
	return r != 0 ? r : upgrade(l, d, e);
}

static int greet(struct link *l, bool *pinned, struct err *e)
{
	struct deadline d = {.at = clock_ms() + l->call->o->connect_ms};
	struct buf m1 = BUF_INIT(HS_JSON_MAX);
	struct ws_event ev;
	int r;

	trail_enter(&l->call->trail, PHASE_CONNECT);
	if ((r = connect_to(l, &d, e)) != 0)
		return r;
	trail_enter(&l->call->trail, PHASE_HANDSHAKE);
	if ((r = hs_client_new(&l->hs, l->call->o->identity)) != 0 ||
	    (r = hs_client_hello(l->hs, &m1)) != 0 ||
	    (r = link_frame(l, WS_TEXT, m1.p, m1.len)) != 0) {
		err_set(e, r, "cannot begin the handshake");
		goto out;
	}
	if ((r = link_flush_all(l, &d, e)) != 0 || (r = link_next(l, WS_TEXT, &d, &ev, e)) != 0 ||
	    (r = hs_client_ready(l->hs, ev.p, ev.n, l->server_id, e)) != 0)
		goto out;
	r = check_pin(l, pinned, e);
out:
	buf_free(&m1);
	return r;
}

static void link_init(struct link *l, struct call *c)
{
	*l = (struct link){.call = c, .out = BUF_INIT(LINK_OUT_MAX)};
}

int link_greet(struct link *l, struct call *c, bool *pinned, struct err *e)
{
	link_init(l, c);
	return greet(l, pinned, e);
}

/* The request with what makes the server's part of the trace one with ours. */
static int make_request(struct link *l, const struct msg *req, struct buf *m3, struct err *e)
{
	char traceparent[TRACEPARENT_LEN + 1];
	struct msg m = *req;

	trace_format(&l->call->trace, traceparent);
	m.traceparent = (struct span){traceparent, TRACEPARENT_LEN};
	m.has |= msg_bit(TAG_TRACEPARENT);
	return hs_client_request(l->hs, &m, clock_unix(), m3, e);
}

/* M3, and M4. */
static int ask(struct link *l, const struct msg *req, struct msg *reply, struct err *e)
{
	const struct client_opts *o = l->call->o;
	struct buf m3 = BUF_INIT(MSG_MAX);
	struct deadline d;
	struct ws_event ev;
	int r;

	if ((r = make_request(l, req, &m3, e)) != 0)
		goto out;
	/* Only a server that proved its identity gets pinned. */
	if (o->accept_new && o->expect_id == NULL &&
	    (r = known_add(o->known_servers, l->call->u->host_port, l->server_id, e)) != 0)
		goto out;
	d = (struct deadline){.at = clock_ms() + o->idle_ms};
	if ((r = link_frame(l, WS_BINARY, m3.p, m3.len)) != 0 ||
	    (r = link_flush_all(l, &d, e)) != 0)
		goto out;
	l->call->asked = true;
	l->asked = trail_clock();
	if ((r = link_next(l, WS_BINARY, &d, &ev, e)) == 0)
		r = hs_client_reply(l->hs, ev.p, ev.n, reply, &l->session, e);
out:
	buf_free(&m3);
	return r;
}

/* ---- the server's queue ---- */

void link_tell_place(const struct link *l)
{
	const struct client_opts *o = l->call->o;
	const struct place *p = &l->place;
	uint64_t now = clock_ms(), left = p->due > now ? p->due - now : 0;

	if (p->waiting && o->queued != NULL &&
	    o->queued(o->arg, p->position, p->due == UINT64_MAX ? UINT64_MAX : left) != 0)
		atomic_store(&l->call->off, true);
}

static bool is_queued(const struct msg *m)
{
	return m->type == MSG_REPLY && m->status == ST_QUEUED;
}

/*
 * The server says again where we are whenever that changed, and at last what it decided. However
 * long that takes: only one that says nothing at all, not even a ping, is given up.
 */
static int wait_in_queue(struct link *l, struct msg *reply, struct err *e)
{
	const uint64_t began = l->heard;
	struct deadline d = {.at = began + l->call->o->idle_ms, .renew = l->call->o->idle_ms};
	struct ws_event ev;
	int r = 0;

	trail_enter_at(&l->call->trail, PHASE_QUEUE, l->asked);
	while (r == 0 && is_queued(reply)) {
		l->place = (struct place){true, reply->position, UINT64_MAX};
		if (msg_has(reply, TAG_RETRY_AFTER))
			l->place.due = clock_ms() + reply->retry_after;
		link_tell_place(l);
		if ((r = link_next(l, WS_BINARY, &d, &ev, e)) == 0 &&
		    session_open(l->session, ev.p, ev.n, reply) != 0)
			r = err_set(e, PQC_EPROTO, "a message from %s does not open",
				    l->call->u->host_port);
	}
	l->place.waiting = false;
	call_queued(l->call, began, r == 0 ? clock_ms() : l->heard);
	return r;
}

int link_open(struct link *l, struct call *c, const struct msg *req, struct msg *reply,
	      struct err *e)
{
	bool pinned, queued;
	int r;

	link_init(l, c);
	if ((r = greet(l, &pinned, e)) != 0 || (r = ask(l, req, reply, e)) != 0)
		return r;
	queued = is_queued(reply);
	if (queued && (r = wait_in_queue(l, reply, e)) != 0)
		return r;
	if (reply->type != MSG_REPLY || reply->status != ST_ACCEPTED)
		return link_error(reply, e);
	trail_enter_at(&c->trail, PHASE_TRANSFER, queued ? trail_clock() : l->asked);
	return 0;
}
