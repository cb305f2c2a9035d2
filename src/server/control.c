/*
 * What a running server is told: to end, when its transfers have, or at once; and to read its
 * files again. Whoever tells it may be a signal handler or another thread: it leaves a mark and
 * wakes the loop.
 */
#include <stddef.h>

#include "base/clock.h"
#include "server/internal.h"

#define DRAIN_POLL_MS 100

/* ---- drain ---- */

void server_close_conns(struct server *s, bool all)
{
	struct conn *c, *next;

	for (c = s->conns; c != NULL; c = next) {
		next = c->next;
		if (all || (!c->place.active && !c->monitor && c->task == NULL && c->out.len == 0))
			conn_close(c);
	}
}

/* Has everybody read what was said last: a receipt, or where to go? */
static bool all_told(const struct server *s)
{
	for (const struct conn *c = s->conns; c != NULL; c = c->next)
		if (!c->monitor && c->out.len > 0)
			return false;
	return true;
}

static void drain_poll(struct timer *t)
{
	struct server *s = (struct server *)((char *)t - offsetof(struct server, drain));

	if (!s->forced && clock_ms() < s->drain_until) {
		if (queue_active(s->queue) == 0 && s->puts == NULL && all_told(s))
			loop_stop(s->loop);
	} else if (!s->forced && queue_active(s->queue) > 0) {
		struct conn *c, *next;

		s->forced = true;
		for (c = s->conns; c != NULL; c = next) {
			next = c->next;
			if (c->phase == PHASE_OPEN)
				conn_fail(c, PQC_ETEMP, "the server is going down; connect again");
			conn_kick(c);
		}
		s->drain_until = clock_ms() + 2000;
	} else if (s->puts == NULL || clock_ms() >= s->drain_until) {
		server_close_conns(s, true);
		loop_stop(s->loop);
	}
	loop_timer_set(s->loop, t, DRAIN_POLL_MS);
}

static void begin_drain(struct server *s)
{
	if (s->draining) {
		s->drain_until = 0; /* asked twice: now */
		return;
	}
	s->draining = true;
	log_event(s->log, LOG_INFO, "server.draining",
		  (struct log_field[]){log_u64("active_transfers", queue_active(s->queue)),
				       log_u64("timeout_ms", s->o.drain_ms),
				       {0}});
	server_stop_listening(s, false);
	admit_send_away(s);
	server_close_conns(s, false);
	s->drain_until = clock_ms() + s->o.drain_ms;
	s->drain.cb = drain_poll;
	loop_timer_set(s->loop, &s->drain, 0);
}

/* ---- reload ---- */

int server_load_tls(const struct server_opts *o, struct tls_ctx **out, struct err *e)
{
	*out = NULL;
	return o->tls_cert == NULL ? 0 : tls_server_ctx(o->tls_cert, o->tls_key, out, e);
}

/* Everything is read before anything is changed: a mistake in a file leaves the server as it was. */
static void reload(struct server *s)
{
	struct server_opts o = s->o;
	struct access *a = NULL;
	struct tls_ctx *tls = NULL;
	struct err e = {0};
	int r = 0;

	if (o.reload != NULL)
		r = o.reload(o.reload_arg, &o, &e);
	if (r == 0)
		r = access_load(o.access_file, &a, &e);
	if (r == 0)
		r = server_load_tls(&o, &tls, &e);
	if (r != 0) {
		access_free(a);
		log_event(s->log, LOG_ERROR, "reload.failed",
			  (struct log_field[]){log_str("reason", e.msg), {0}});
		return;
	}
	access_free(s->access);
	tls_ctx_unref(s->tls);
	s->access = a;
	s->tls = tls;
	s->o = o;
	queue_limits(s->queue, &(struct queue_opts){o.max_transfers, o.max_queued});
	log_event(s->log, LOG_INFO, "reload.done",
		  (struct log_field[]){log_u64("authorised_identities", access_count(a)), {0}});
}

/* ---- being told ---- */

void server_stop(struct server *s)
{
	atomic_fetch_add(&s->stops, 1);
	loop_wake(s->loop);
}

void server_reload(struct server *s)
{
	atomic_store(&s->reload, true);
	loop_wake(s->loop);
}

void server_obey(struct server *s)
{
	if (atomic_exchange(&s->reload, false))
		reload(s);
	for (unsigned n = atomic_exchange(&s->stops, 0); n > 0; n--)
		begin_drain(s);
}
