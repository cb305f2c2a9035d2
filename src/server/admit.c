/* Admission: requests for transfers go through the queue; those that wait are told their places. */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "server/internal.h"

#define TELL_MS 250 /* places change in bursts */

static struct conn *conn_of(struct queue_entry *e)
{
	return (struct conn *)((char *)e - offsetof(struct conn, place));
}

const struct conn *admit_conn(const struct queue_entry *e)
{
	return (const struct conn *)((const char *)e - offsetof(struct conn, place));
}

/* ---- waiting ---- */

static void wait_detach(struct conn *c)
{
	struct task *t = c->waits;

	c->waits = NULL;
	t->done(t, NULL);
}

static const struct op wait_op = {.detach = wait_detach};

static void tell(void *arg, struct queue_entry *e)
{
	const struct server *s = arg;
	struct conn *c = conn_of(e);
	struct msg m = {.type = MSG_REPLY, .status = ST_QUEUED, .position = e->place};
	uint64_t ms = queue_estimate_ms(s->queue, e->place);

	m.has = msg_bit(TAG_STATUS) | msg_bit(TAG_POSITION);
	if (ms < UINT32_MAX) {
		m.retry_after = (uint32_t)ms;
		m.has |= msg_bit(TAG_RETRY_AFTER);
	}
	/* Who does not read what he is told will hear the next. */
	if (c->out.len < OUT_MAX / 2 && conn_reply(c, &m) != 0)
		conn_finish(c);
}

void admit_tell(struct timer *t)
{
	struct server *s = (struct server *)((char *)t - offsetof(struct server, tell));
	struct conn *c, *next;

	queue_places(s->queue, tell, s);
	for (c = s->conns; c != NULL; c = next) {
		next = c->next;
		if (c->place.waiting && c->out.len > 0)
			conn_kick(c);
	}
}

static void tell_soon(struct server *s)
{
	if (queue_waiting(s->queue) > 0 && !s->tell.armed)
		loop_timer_set(s->loop, &s->tell, TELL_MS);
}

/* ---- coming and going ---- */

static void start(struct conn *c, struct task *t)
{
	transfer_admitted(c);
	task_start(c, t);
}

void admit(struct conn *c, struct task *t, const uint8_t *again)
{
	struct server *s = c->srv;

	memcpy(c->place.client, c->client_id, ID_LEN);
	if (!queue_enter(s->queue, &c->place, again, clock_ms())) {
		metric_add(&s->metrics, M_QUEUE_REFUSED, 1);
		t->done(t, NULL);
		conn_fail(c, PQC_ETEMP, "the server is busy, and as many as may wait do");
	} else if (c->place.active) {
		start(c, t);
	} else {
		c->waits = t;
		c->waited = true;
		log_event(s->log, LOG_INFO, "queue.entered",
			  (struct log_field[]){log_trace(c),
					       log_id("client_id", c->client_id),
					       log_u64("waiting", queue_waiting(s->queue)),
					       {0}});
		c->op = &wait_op;
		queue_places(s->queue, tell, s);
		tell_soon(s);
	}
}

/* Without having been served. */
static void left(const struct conn *c)
{
	struct server *s = c->srv;

	metric_add(&s->metrics, s->draining ? M_QUEUE_DRAINED : M_QUEUE_VANISHED, 1);
	log_event(s->log, LOG_INFO, "queue.left",
		  (struct log_field[]){log_trace(c),
				       log_id("client_id", c->client_id),
				       log_str("reason", s->draining ? "drained" : "vanished"),
				       log_u64("waited_ms", clock_ms() - c->place.since_ms),
				       {0}});
}

void admit_leave(struct conn *c, const uint8_t *again)
{
	struct server *s = c->srv;
	struct queue_entry *e;

	if (c->place.waiting)
		left(c);
	queue_leave(s->queue, &c->place, again, clock_ms());
	while (!s->draining && (e = queue_next(s->queue, clock_ms())) != NULL) {
		struct conn *next = conn_of(e);
		struct task *t = next->waits;

		next->waits = NULL;
		next->op = NULL;
		metric_add(&s->metrics, M_QUEUE_ADMITTED, 1);
		start(next, t);
	}
	tell_soon(s);
}

void admit_send_away(struct server *s)
{
	struct conn *c, *next;

	for (c = s->conns; c != NULL; c = next) {
		next = c->next;
		if (!c->place.waiting)
			continue;
		conn_fail(c, PQC_ETEMP, "the server is going down; connect again");
		admit_leave(c, NULL);
		conn_kick(c);
	}
}
