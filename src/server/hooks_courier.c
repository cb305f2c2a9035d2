/* When events are tried, tried again and given up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/secmem.h"
#include "server/hooks_impl.h"

#define RETRY_MIN_MS UINT64_C(1000)
#define RETRY_MAX_MS UINT64_C(3600000)
#define DOWN_MAX_MS  UINT64_C(60000) /* how long a receiver that is down is left alone at most */
#define LOOK_MS	     5000	     /* how often to look for what another process left */

/* ---- one event ---- */

/* As long again as it has waited, so that the pauses double; no two events keep in step. */
static uint64_t retry_delay(const struct event *ev, const struct attempt *a)
{
	uint64_t now = hooks_now(), ms = now > ev->created ? now - ev->created : 0;
	uint32_t spread = 0;

	if (ms < (uint64_t)a->retry_after * 1000)
		ms = (uint64_t)a->retry_after * 1000;
	ms = ms < RETRY_MIN_MS ? RETRY_MIN_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
	if (random_bytes(&spread, sizeof(spread)) != 0)
		return ms;
	return ms - ms / 8 + spread % (ms / 4);
}

static void give_up(struct courier *c, const struct event *ev, const char *why)
{
	spool_give_up(&c->h->spool, ev);
	atomic_fetch_sub(&c->pending, 1);
	atomic_fetch_add(&c->h->given_up, 1);
	log_event(c->h->log, LOG_ERROR, "event.failed",
		  (struct log_field[]){log_str("event_id", ev->id),
				       log_str("type", ev->type),
				       log_str("to", c->kind),
				       log_str("reason", why),
				       log_bool("given_up", true),
				       {0}});
}

static void try_later(struct courier *c, const struct event *ev, const struct attempt *a)
{
	uint64_t now = hooks_now(), end = ev->created + c->h->ttl_ms;
	uint64_t at = now + retry_delay(ev, a);

	if (now >= end) {
		give_up(c, ev, a->why);
		return;
	}
	at = at < end ? at : end;
	spool_postpone(ev, at);
	c->list.next = at < c->list.next ? at : c->list.next;
	atomic_fetch_add(&c->h->retried, 1);
	log_event(c->h->log, LOG_WARN, "event.failed",
		  (struct log_field[]){log_str("event_id", ev->id),
				       log_str("type", ev->type),
				       log_str("to", c->kind),
				       log_str("reason", a->why),
				       log_f64("retry_seconds", (double)(at - now) / 1000),
				       {0}});
}

static void note_delivered(struct courier *c, const struct event *ev)
{
	spool_delivered(&c->h->spool, ev);
	atomic_fetch_sub(&c->pending, 1);
	atomic_fetch_add(&c->h->delivered, 1);
	log_event(c->h->log, LOG_INFO, "event.delivered",
		  (struct log_field[]){log_str("event_id", ev->id),
				       log_str("type", ev->type),
				       log_str("to", c->kind),
				       {0}});
}

static void attempt(struct courier *c, const struct event *ev, struct attempt *a)
{
	int in;

	if (c == &c->h->courier[WEBHOOK]) {
		webhook_deliver(&c->h->webhook, ev, a);
		return;
	}
	if ((in = spool_reopen(&c->h->spool, ev)) < 0) {
		a->outcome = FAILED;
		a->down = true;
		snprintf(a->why, sizeof(a->why), "its file: %s", strerror(errno));
		return;
	}
	command_deliver(&c->h->command, ev, in, a);
	close(in);
}

/* A receiver that is down is not asked again with every event there is. */
static void note_health(struct courier *c, const struct attempt *a)
{
	uint64_t ms = RETRY_MIN_MS << (c->failures < 6 ? c->failures : 6);

	if (!a->down) {
		c->failures = 0;
		return;
	}
	c->failures++;
	if (ms < (uint64_t)a->retry_after * 1000)
		ms = (uint64_t)a->retry_after * 1000;
	c->not_before = clock_ms() + (ms < DOWN_MAX_MS ? ms : DOWN_MAX_MS);
}

static void deliver(struct courier *c, const struct event *ev)
{
	struct attempt a = {0};

	attempt(c, ev, &a);
	if (a.outcome == INTERRUPTED)
		return;
	note_health(c, &a);
	if (a.outcome == FAILED) {
		try_later(c, ev, &a);
		return;
	}
	if (a.outcome == DELIVERED)
		note_delivered(c, ev);
	else
		give_up(c, ev, a.why);
}

static void handle(struct courier *c, const char *name)
{
	struct event ev;
	int r = spool_take(&c->h->spool, name, &ev);

	if (r == PQC_EAGAIN)
		return;
	if (r != 0)
		give_up(c, &ev, "the file is not an event");
	else
		deliver(c, &ev);
	spool_release(&ev);
}

/* ---- a courier ---- */

static bool stopping(struct hooks *h)
{
	bool yes;

	pthread_mutex_lock(&h->lock);
	yes = h->stopping;
	pthread_mutex_unlock(&h->lock);
	return yes;
}

/* The receiver is not to be asked before so many milliseconds have passed. */
static uint64_t down_for(const struct courier *c)
{
	uint64_t now = clock_ms();

	return c->not_before > now ? c->not_before - now : 0;
}

/* Deliver what is due; returns in how many milliseconds to look again. */
static uint64_t make_round(struct courier *c)
{
	struct spool_list *l = &c->list;
	uint64_t now, wait;
	struct err e;

	do {
		if (spool_list(&c->h->spool, c->kind, l, &e) != 0) {
			log_event(c->h->log, LOG_ERROR, "event.failed",
				  (struct log_field[]){log_str("reason", e.msg), {0}});
			return LOOK_MS;
		}
		atomic_store(&c->pending, l->pending);
		for (size_t i = 0; i < l->n && down_for(c) == 0 && !stopping(c->h); i++)
			handle(c, l->due[i]);
	} while (l->n == DUE_MAX && down_for(c) == 0 && !stopping(c->h));
	now = hooks_now();
	wait = l->next > now ? l->next - now : 0;
	wait = wait < LOOK_MS ? wait : LOOK_MS;
	return down_for(c) > wait ? down_for(c) : wait;
}

/* Until it is time, an event was posted (not while the receiver is down), or all ends: false. */
static bool wait_for_work(struct courier *c, uint64_t ms)
{
	struct hooks *h = c->h;
	uint64_t until = clock_ms() + ms;
	struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
	bool go_on;

	pthread_mutex_lock(&h->lock);
	while (!h->stopping && clock_ms() < until && !(c->posted && down_for(c) == 0))
		pthread_cond_timedwait(&h->wake, &h->lock, &t);
	c->posted = false;
	go_on = !h->stopping;
	pthread_mutex_unlock(&h->lock);
	return go_on;
}

void courier_run(struct job *j)
{
	struct courier *c = (struct courier *)((char *)j - offsetof(struct courier, job));

	while (wait_for_work(c, make_round(c)))
		;
	pthread_mutex_lock(&c->h->lock);
	c->ended = true;
	pthread_cond_broadcast(&c->h->wake);
	pthread_mutex_unlock(&c->h->lock);
}
