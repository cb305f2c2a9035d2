#include "client/call.h"

#include "base/clock.h"

void call_begin(struct call *c, const struct client_opts *o, const struct url *u)
{
	*c = (struct call){.o = o, .u = u};
	retry_init(&c->retry, o);
}

int call_retry(struct call *c, int rc, struct err *e)
{
	return retry_wait(&c->retry, rc, e);
}

void call_queued(struct call *c, uint64_t began, uint64_t heard)
{
	c->queue_ms += clock_ms() - began;
	retry_excuse(&c->retry, heard - began);
}

void call_end(struct call *c)
{
	if (c->o->info != NULL)
		c->o->info->queue_seconds = (double)c->queue_ms / 1000;
}
