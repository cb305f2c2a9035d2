#include "server/hooks.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/hooks_impl.h"

#define GRACE_MS 2000

static void ignore(void *arg)
{
	(void)arg;
}

static void destroy(struct hooks *h)
{
	pool_free(h->pool); /* joins */
	webhook_free(&h->webhook);
	command_free(&h->command);
	spool_close(&h->spool);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static struct hooks *allocate(const struct hooks_opts *o)
{
	struct hooks *h = calloc(1, sizeof(*h));
	pthread_condattr_t monotonic;

	if (!h)
		return NULL;
	h->spool = (struct spool){-1, -1};
	h->ttl_ms = o->ttl_ms;
	h->log = o->log;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (size_t i = 0; i < COURIERS; i++) {
		h->courier[i].h = h;
		h->courier[i].job.run = courier_run;
	}
	return h;
}

static int set_up(struct hooks *h, const struct hooks_opts *o, struct err *e)
{
	int r;

	if (o->url) {
		if ((r = webhook_init(&h->webhook, o, &h->cancel, e)) != 0)
			return r;
		h->courier[WEBHOOK].kind = "webhook";
	}
	if (o->command) {
		if ((r = command_init(&h->command, o, &h->cancel, e)) != 0)
			return r;
		h->courier[COMMAND].kind = "command";
	}
	if ((r = spool_open(&h->spool, o->data_dir, e)) != 0)
		return r;
	r = pool_new(&h->pool, &(struct pool_opts){.threads = COURIERS, .notify = ignore});
	return r == 0 ? 0 : err_set(e, r, "no threads to deliver events");
}

int hooks_new(struct hooks **out, const struct hooks_opts *o, struct err *e)
{
	struct hooks *h;
	int r;

	*out = NULL;
	if (!o->url && !o->command)
		return 0;
	if ((h = allocate(o)) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory to deliver events");
	if ((r = set_up(h, o, e)) != 0) {
		destroy(h);
		return r;
	}
	for (size_t i = 0; i < COURIERS; i++)
		if (h->courier[i].kind)
			pool_submit(h->pool, &h->courier[i].job);
	*out = h;
	return 0;
}

static bool is_type(const char *type)
{
	size_t n = strspn(type, "abcdefghijklmnopqrstuvwxyz.");

	return n > 0 && n < EVENT_TYPE_MAX && type[n] == '\0';
}

static bool is_object(const char *text)
{
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	bool yes = json_is_object(j);

	json_decref(j);
	return yes;
}

static int put_event(struct hooks *h, const char *id, const struct buf *body, struct err *e)
{
	for (size_t i = 0; i < COURIERS; i++) {
		struct courier *c = &h->courier[i];
		int r;

		if (!c->kind)
			continue;
		if (atomic_load(&c->pending) >= HOOKS_PENDING_MAX)
			return err_set(e, PQC_EQUOTA, "%d events wait for the %s",
				       HOOKS_PENDING_MAX, c->kind);
		if ((r = spool_put(&h->spool, id, c->kind, body, e)) != 0)
			return r;
		pthread_mutex_lock(&h->lock);
		c->posted = true;
		atomic_fetch_add(&c->pending, 1);
		pthread_cond_broadcast(&h->wake);
		pthread_mutex_unlock(&h->lock);
	}
	return 0;
}

int hooks_post(struct hooks *h, const char *type, const char *json_object, struct err *e)
{
	struct buf body = BUF_INIT(HOOKS_EVENT_MAX);
	char id[EVENT_ID_LEN + 1], now[32];
	int r;

	if (!h)
		return 0;
	if (!is_type(type) || !is_object(json_object))
		return err_set(e, PQC_EFAIL, "an event that is none");
	buf_printf(&body, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", type,
		   fmt_time(clock_unix(), now));
	buf_put_str(&body, json_object);
	buf_put_u8(&body, '}');
	if ((r = buf_error(&body)) != 0)
		err_set(e, r, "an event larger than %d bytes", HOOKS_EVENT_MAX);
	else if ((r = event_id(id)) != 0)
		err_set(e, r, "no randomness for an event");
	else if ((r = put_event(h, id, &body, e)) != 0)
		err_prefix(e, "event");
	buf_free(&body);
	return r;
}

void hooks_counts(const struct hooks *h, struct hooks_counts *out)
{
	memset(out, 0, sizeof(*out));
	if (!h)
		return;
	out->delivered = atomic_load(&h->delivered);
	out->retried = atomic_load(&h->retried);
	out->given_up = atomic_load(&h->given_up);
	for (size_t i = 0; i < COURIERS; i++)
		out->pending += atomic_load(&h->courier[i].pending);
}

void hooks_free(struct hooks *h)
{
	uint64_t until = clock_ms() + GRACE_MS;
	struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_cond_broadcast(&h->wake);
	for (size_t i = 0; i < COURIERS; i++)
		while (h->courier[i].kind && !h->courier[i].ended && clock_ms() < until)
			pthread_cond_timedwait(&h->wake, &h->lock, &t);
	pthread_mutex_unlock(&h->lock);
	atomic_store(&h->cancel, true);
	destroy(h);
}
