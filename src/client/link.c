#include "client/link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/known.h"
#include "crypto/secmem.h"
#include "net/http.h"
#include "net/loop.h"

#define OUT_MAX 262144

static bool cancelled(const struct client_opts *o)
{
	return o->cancel != NULL && atomic_load(o->cancel);
}

/* Wait until the stream is ready as wanted; deadline on clock_ms. */
static int wait_for(struct link *l, unsigned want, uint64_t deadline, struct err *e)
{
	struct pollfd p = {.fd = stream_fd(l->st)};
	uint64_t now;

	p.events = (short)((want & LOOP_READ ? POLLIN : 0) | (want & LOOP_WRITE ? POLLOUT : 0));
	for (;;) {
		int r;

		if (cancelled(l->o))
			return err_set(e, PQC_EINTERRUPTED, "interrupted");
		if ((now = clock_ms()) >= deadline)
			return err_set(e, PQC_ETIMEOUT, "%s does not answer", l->u->host_port);
		r = poll(&p, 1, (int)(deadline - now));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
	}
}

static int io_error(struct link *l, int r, struct err *e)
{
	if (r == PQC_ECLOSED)
		return err_set(e, r, "%s closed the connection", l->u->host_port);
	return err_set(e, r, "the connection to %s broke", l->u->host_port);
}

int link_flush(struct link *l, unsigned *want)
{
	size_t off = 0;
	ssize_t n = 0;

	while (off < l->out.len &&
	       (n = stream_write(l->st, l->out.p + off, l->out.len - off, want)) >= 0)
		off += (size_t)n;
	buf_consume(&l->out, off);
	return n < 0 ? (int)n : 0;
}

static int flush_all(struct link *l, uint64_t deadline, struct err *e)
{
	unsigned want;
	int r;

	while ((r = link_flush(l, &want)) == PQC_EAGAIN)
		if ((r = wait_for(l, want, deadline, e)) != 0)
			return r;
	return r != 0 ? io_error(l, r, e) : 0;
}

/* Some bytes, waiting for them. */
static int read_some(struct link *l, uint8_t *p, size_t n, size_t *got, uint64_t deadline,
		     struct err *e)
{
	unsigned want = LOOP_READ;
	ssize_t k;
	int r;

	while ((k = stream_read(l->st, p, n, &want)) == PQC_EAGAIN)
		if ((r = wait_for(l, want, deadline, e)) != 0)
			return r;
	if (k < 0)
		return io_error(l, (int)k, e);
	*got = (size_t)k;
	return 0;
}

static int queue(struct link *l, enum ws_opcode op, const void *p, size_t n)
{
	uint8_t head[WS_HEADER_MAX], mask[4], *body;
	int r = random_bytes(mask, sizeof(mask));

	if (r != 0)
		return r;
	buf_put(&l->out, head, ws_header(head, op, n, mask));
	if (n > 0 && (body = buf_extend(&l->out, n)) != NULL) {
		memcpy(body, p, n);
		ws_mask(body, n, mask, 0);
	}
	return buf_error(&l->out);
}

int link_queue(struct link *l, const struct msg *m)
{
	struct buf wire = BUF_INIT(MSG_MAX + 64);
	int r = session_seal(l->session, m, &wire);

	if (r == 0)
		r = queue(l, WS_BINARY, wire.p, wire.len);
	buf_free(&wire);
	return r;
}

int link_pong(struct link *l, const struct ws_event *ev)
{
	return l->out.len < OUT_MAX / 2 ? queue(l, WS_PONG, ev->p, ev->n) : 0;
}

/* The next whole message; its bytes are valid until the parser is called again. */
static int next_message(struct link *l, enum ws_opcode op, uint64_t deadline, struct ws_event *ev,
			struct err *e)
{
	unsigned code;
	size_t n;
	uint8_t *p;
	int r;

	for (;;) {
		if ((r = ws_next(l->ws, ev, &code)) != 0)
			return err_set(e, PQC_EPROTO, "%s does not speak WebSocket as it should",
				       l->u->host_port);
		switch (ev->type) {
		case WS_EV_MESSAGE:
			return ev->op == op ? 0
					    : err_set(e, PQC_EPROTO,
						      "%s sent a message of the wrong kind",
						      l->u->host_port);
		case WS_EV_CLOSE:
			return err_set(e, PQC_ECLOSED, "%s closed the connection", l->u->host_port);
		case WS_EV_PING:
			if ((r = link_pong(l, ev)) != 0 || (r = flush_all(l, deadline, e)) != 0)
				return r;
			break;
		case WS_EV_DATA:
			return err_set(e, PQC_EPROTO, "%s sent a part that was not asked for",
				       l->u->host_port);
		case WS_EV_NONE:
			ws_want(l->ws, &p, &n);
			if ((r = read_some(l, p, n, &n, deadline, e)) != 0)
				return r;
			ws_got(l->ws, n);
			break;
		default:
			break;
		}
	}
}

int link_error(const struct msg *m, struct err *e)
{
	if (m->type != MSG_ERROR && !(m->type == MSG_REPLY && m->status == ST_ERROR))
		return err_set(e, PQC_EPROTO,
			       "the server sent a message that does not belong here");
	return err_set(e, msg_code_to_err(m->code), "the server says: %.*s", (int)m->text.n,
		       (const char *)m->text.p);
}

int link_recv(struct link *l, struct msg *m, struct err *e)
{
	uint64_t deadline = clock_ms() + l->o->idle_ms;
	struct ws_event ev;
	int r;

	if ((r = flush_all(l, deadline, e)) != 0 ||
	    (r = next_message(l, WS_BINARY, deadline, &ev, e)) != 0)
		return r;
	if (session_open(l->session, ev.p, ev.n, m) != 0)
		return err_set(e, PQC_EPROTO, "a message from %s does not open", l->u->host_port);
	return 0;
}

/* ---- the way up ---- */

static int upgrade(struct link *l, uint64_t deadline, struct err *e)
{
	struct ws_opts o = {.server = false, .data_kind = WIRE_DATA, .message_max = MSG_MAX};
	struct buf key = BUF_INIT(64), in = BUF_INIT(HTTP_HEAD_MAX);
	uint8_t nonce[16], tmp[2048];
	size_t n, used = 0;
	int r;

	if ((r = random_bytes(nonce, sizeof(nonce))) != 0)
		goto out;
	base64_encode(&key, nonce, sizeof(nonce));
	http_upgrade_request(&l->out, l->u->host_port, "/", buf_cstr(&key));
	if ((r = flush_all(l, deadline, e)) != 0)
		goto out;
	do {
		if ((r = read_some(l, tmp, sizeof(tmp), &n, deadline, e)) != 0)
			goto out;
		buf_put(&in, tmp, n);
		if ((r = buf_error(&in)) != 0) {
			err_set(e, PQC_EPROTO, "%s is no PQC server: its answer is too long",
				l->u->host_port);
			goto out;
		}
	} while ((r = http_parse_upgrade(in.p, in.len, buf_cstr(&key), &used, e)) == PQC_EAGAIN);
	if (r != 0) {
		err_prefix(e, "%s", l->u->host_port);
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
	const struct client_opts *o = l->o;
	uint8_t old[ID_LEN];
	char want[2 * ID_LEN + 1], got[2 * ID_LEN + 1];
	int r;

	*pinned = false;
	hex_encode(l->server_id, ID_LEN, got);
	if (o->expect_id != NULL) {
		hex_encode(o->expect_id, ID_LEN, want);
		if (memcmp(o->expect_id, l->server_id, ID_LEN) != 0)
			return err_set(e, PQC_EIDENTITY_CHANGED, "%s is %s, not the expected %s",
				       l->u->host_port, got, want);
		*pinned = true;
		return 0;
	}
	r = known_check(o->known_servers, l->u->host_port, l->server_id, old, e);
	*pinned = r == 0;
	if (r == PQC_EIDENTITY_CHANGED) {
		hex_encode(old, ID_LEN, want);
		return err_set(e, r,
			       "THE IDENTITY OF %s HAS CHANGED: pinned %s, now %s. Someone may be "
			       "in between, "
			       "or the server has a new key. If its owner confirms the new one: "
			       "pqc trust remove %s && pqc trust add %s %s",
			       l->u->host_port, want, got, l->u->host_port, l->u->host_port, got);
	}
	if (r != PQC_EUNKNOWN_SERVER || !o->accept_new)
		return r != PQC_EUNKNOWN_SERVER
			       ? r
			       : err_set(e, r,
					 "%s is not known here; its identity is %s. Compare with "
					 "its "
					 "owner, then: pqc trust add %s %s (or use --accept-new "
					 "once)",
					 l->u->host_port, got, l->u->host_port, got);
	*pinned = true;
	return 0;
}

static int greet(struct link *l, bool *pinned, struct err *e)
{
	uint64_t deadline = clock_ms() + l->o->connect_ms;
	struct buf m1 = BUF_INIT(HS_JSON_MAX);
	struct ws_event ev;
	unsigned want;
	int fd, r;

	if (cancelled(l->o))
		return err_set(e, PQC_EINTERRUPTED, "interrupted");
	if (l->u->tls && l->o->tls == NULL)
		return err_set(e, PQC_EUSAGE, "%s asks for TLS, and none is set up",
			       l->u->host_port);
	if ((r = net_dial(l->u, l->o->connect_ms, &fd, e)) != 0)
		return r;
	if ((r = stream_new(fd, l->u->tls ? l->o->tls : NULL, l->u->host, &l->st)) != 0) {
		close(fd);
		return err_set(e, r, "cannot set up the connection");
	}
	while ((r = stream_handshake(l->st, &want, e)) == PQC_EAGAIN)
		if ((r = wait_for(l, want, deadline, e)) != 0)
			return r;
	if (r != 0 || (r = upgrade(l, deadline, e)) != 0)
		return r;
	if ((r = hs_client_new(&l->hs, l->o->identity)) != 0 ||
	    (r = hs_client_hello(l->hs, &m1)) != 0 || (r = queue(l, WS_TEXT, m1.p, m1.len)) != 0) {
		err_set(e, r, "cannot begin the handshake");
		goto out;
	}
	if ((r = flush_all(l, deadline, e)) != 0 ||
	    (r = next_message(l, WS_TEXT, deadline, &ev, e)) != 0 ||
	    (r = hs_client_ready(l->hs, ev.p, ev.n, l->server_id, e)) != 0)
		goto out;
	r = check_pin(l, pinned, e);
out:
	buf_free(&m1);
	return r;
}

static void link_init(struct link *l, const struct client_opts *o, const struct url *u)
{
	memset(l, 0, sizeof(*l));
	l->o = o;
	l->u = u;
	buf_init(&l->out, OUT_MAX);
}

int link_greet(struct link *l, const struct client_opts *o, const struct url *u, bool *pinned,
	       struct err *e)
{
	link_init(l, o, u);
	return greet(l, pinned, e);
}

int link_open(struct link *l, const struct client_opts *o, const struct url *u,
	      const struct msg *req, struct msg *reply, struct err *e)
{
	uint64_t deadline;
	struct buf m3 = BUF_INIT(MSG_MAX);
	struct ws_event ev;
	bool pinned;
	int r;

	link_init(l, o, u);
	if ((r = greet(l, &pinned, e)) != 0)
		goto out;
	if ((r = hs_client_request(l->hs, req, clock_unix(), &m3, e)) != 0)
		goto out;
	/* Only a server that proved its identity gets pinned. */
	if (o->accept_new && o->expect_id == NULL &&
	    (r = known_add(o->known_servers, u->host_port, l->server_id, e)) != 0)
		goto out;
	deadline = clock_ms() + o->idle_ms;
	if ((r = queue(l, WS_BINARY, m3.p, m3.len)) != 0 || (r = flush_all(l, deadline, e)) != 0 ||
	    (r = next_message(l, WS_BINARY, deadline, &ev, e)) != 0 ||
	    (r = hs_client_reply(l->hs, ev.p, ev.n, reply, &l->session, e)) != 0)
		goto out;
	if (reply->status != ST_ACCEPTED)
		r = link_error(reply, e);
out:
	buf_free(&m3);
	return r;
}

void link_close(struct link *l)
{
	session_free(l->session);
	hs_client_free(l->hs);
	ws_free(l->ws);
	stream_free(l->st);
	buf_free(&l->out);
	memset(l, 0, sizeof(*l));
}
