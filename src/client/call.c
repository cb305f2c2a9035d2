#include "client/call.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Room for " (trace ...)" behind a message. */
#define MESSAGE_MAX (ERR_MSG_MAX - 2 * TRACE_ID_LEN - 16)

int call_begin(struct call *c, const struct client_opts *o, const struct url *u, struct err *e)
{
	int r;

	c->o = o;
	c->u = u;
	c->queue_ms = 0;
	c->asked = false;
	atomic_init(&c->off, false);
	atomic_init(&c->spoiled, false);
	retry_init(&c->retry, o);
	trail_init(&c->trail);
	if ((r = trace_begin(&c->trace, o->parent)) != 0)
		return err_set(e, r, "cannot make an id for the trace");
	if (o->parent == NULL)
		c->trace.sampled = o->tracer != NULL;
	if (o->info != NULL) {
		*o->info = (struct call_info){0};
		trace_id_hex(&c->trace, o->info->trace_id);
	}
	return 0;
}

bool call_is_off(const struct call *c)
{
	return atomic_load(&c->off) || (c->o->cancel != NULL && atomic_load(c->o->cancel));
}

bool call_is_over(const void *arg)
{
	return call_is_off(arg);
}

int call_progress(struct call *c, const struct progress *p, struct err *e)
{
	if (c->o->progress == NULL || c->o->progress(c->o->arg, p) == 0)
		return 0;
	atomic_store(&c->off, true);
	return err_set(e, PQC_EINTERRUPTED, "interrupted");
}

int call_spoil(struct call *c, int rc, const struct err *e)
{
	if (!atomic_exchange(&c->spoiled, true)) {
		c->spoil = rc;
		c->spoil_err = *e;
	}
	return rc;
}

int call_reason(const struct call *c, int rc, struct err *e)
{
	if (!atomic_load(&c->spoiled))
		return rc;
	*e = c->spoil_err;
	return c->spoil;
}

/* e's message, and where to look for more. */
static void name_trace(const struct call *c, int rc, struct err *e)
{
	char id[2 * TRACE_ID_LEN + 1];

	if (!c->asked)
		return;
	trace_id_hex(&c->trace, id);
	err_set(e, rc, "%.*s (trace %s)", MESSAGE_MAX, e->msg[0] != '\0' ? e->msg : err_meaning(rc),
		id);
}

int call_retry(struct call *c, int rc, struct err *e)
{
	struct err why = *e;

	trail_leave(&c->trail, rc);
	if (atomic_load(&c->spoiled) || !retry_worth(&c->retry, rc))
		return rc;
	if (call_is_off(c))
		return err_set(e, PQC_EINTERRUPTED, "interrupted");
	if (c->o->notice != NULL) {
		name_trace(c, rc, &why);
		c->o->notice(c->o->arg, "reconnect", why.msg);
	}
	trail_enter(&c->trail, PHASE_BACKOFF);
	return retry_wait(&c->retry, e);
}

void call_queued(struct call *c, uint64_t began, uint64_t heard)
{
	c->queue_ms += clock_ms() - began;
	retry_excuse(&c->retry, heard - began);
}

int call_end(struct call *c, int rc, struct err *e)
{
	if (c->o->info != NULL)
		c->o->info->queue_seconds = (double)c->queue_ms / 1000;
	if (rc != 0 && rc != PQC_EINTERRUPTED)
		name_trace(c, rc, e);
	return rc;
}

int call_end_transfer(struct call *c, const struct trail_kind *kind,
		      const struct transfer_result *r, int rc, struct err *e)
{
	struct trail_end end = {kind, &c->trace, r, rc};

	trail_leave(&c->trail, rc);
	trail_emit(&c->trail, &end, c->o->tracer);
	return call_end(c, rc, e);
}
