#include "client/link_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/secmem.h"
#include "net/loop.h"

#define SLICE_MS 100 /* how soon a cancellation is noticed */

int link_cancelled(const struct link *l, struct err *e)
{
	if (call_is_off(l->call))
		return err_set(e, PQC_EINTERRUPTED, "interrupted");
	return 0;
}

int link_wait(struct link *l, unsigned want, const struct deadline *d, struct err *e)
{
	struct pollfd p = {.fd = stream_fd(l->st)};
	uint64_t now;
	int r;

	p.events = (short)((want & LOOP_READ ? POLLIN : 0) | (want & LOOP_WRITE ? POLLOUT : 0));
	for (;;) {
		link_tell_place(l);
		if ((r = link_cancelled(l, e)) != 0)
			return r;
		if ((now = clock_ms()) >= d->at)
			return err_set(e, PQC_ETIMEOUT, "%s does not answer",
				       l->call->u->host_port);
		r = poll(&p, 1, d->at - now < SLICE_MS ? (int)(d->at - now) : SLICE_MS);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
	}
}

static int io_error(struct link *l, int r, struct err *e)
{
	if (r == PQC_ECLOSED)
		return err_set(e, r, "%s closed the connection", l->call->u->host_port);
	return err_set(e, r, "the connection to %s broke", l->call->u->host_port);
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

int link_flush_all(struct link *l, const struct deadline *d, struct err *e)
{
	unsigned want;
	int r;

	while ((r = link_flush(l, &want)) == PQC_EAGAIN)
		if ((r = link_wait(l, want, d, e)) != 0)
			return r;
	return r != 0 ? io_error(l, r, e) : 0;
}

int link_read(struct link *l, uint8_t *p, size_t *n, struct deadline *d, struct err *e)
{
	unsigned want = LOOP_READ;
	ssize_t k;
	int r;

	/* A peer that always has more to say must not keep the caller from calling it off. */
	if ((r = link_cancelled(l, e)) != 0)
		return r;
	while ((k = stream_read(l->st, p, *n, &want)) == PQC_EAGAIN)
		if ((r = link_wait(l, want, d, e)) != 0)
			return r;
	if (k < 0)
		return io_error(l, (int)k, e);
	*n = (size_t)k;
	l->heard = clock_ms();
	if (d->renew > 0)
		d->at = l->heard + d->renew;
	return 0;
}

int link_frame(struct link *l, enum ws_opcode op, const void *p, size_t n)
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
		r = link_frame(l, WS_BINARY, wire.p, wire.len);
	buf_free(&wire);
	return r;
}

int link_pong(struct link *l, const struct ws_event *ev)
{
	return l->out.len < LINK_OUT_MAX / 2 ? link_frame(l, WS_PONG, ev->p, ev->n) : 0;
}

int link_next(struct link *l, enum ws_opcode op, struct deadline *d, struct ws_event *ev,
	      struct err *e)
{
	unsigned code;
	size_t n;
	uint8_t *p;
	int r;

	for (;;) {
		if ((r = ws_next(l->ws, ev, &code)) != 0)
			return err_set(e, PQC_EPROTO, "%s does not speak WebSocket as it should",
				       l->call->u->host_port);
		switch (ev->type) {
		case WS_EV_MESSAGE:
			return ev->op == op ? 0
					    : err_set(e, PQC_EPROTO,
						      "%s sent a message of the wrong kind",
						      l->call->u->host_port);
		case WS_EV_CLOSE:
			return err_set(e, PQC_ECLOSED, "%s closed the connection",
				       l->call->u->host_port);
		case WS_EV_PING:
			if ((r = link_pong(l, ev)) != 0 || (r = link_flush_all(l, d, e)) != 0)
				return r;
			break;
		case WS_EV_DATA:
			return err_set(e, PQC_EPROTO, "%s sent a part that was not asked for",
				       l->call->u->host_port);
		case WS_EV_NONE:
			ws_want(l->ws, &p, &n);
			if ((r = link_read(l, p, &n, d, e)) != 0)
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
	struct deadline d = {.at = clock_ms() + l->call->o->idle_ms};
	struct ws_event ev;
	int r;

	if ((r = link_flush_all(l, &d, e)) != 0 || (r = link_next(l, WS_BINARY, &d, &ev, e)) != 0)
		return r;
	if (session_open(l->session, ev.p, ev.n, m) != 0)
		return err_set(e, PQC_EPROTO, "a message from %s does not open",
			       l->call->u->host_port);
	return 0;
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
