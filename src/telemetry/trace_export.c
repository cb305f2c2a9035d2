/* The thread that takes spans from the queue and has the collector take them. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "net/fetch.h"
#include "telemetry/otlp.h"
#include "telemetry/trace_queue.h"

#define BATCH_SPANS	512
#define QUEUE_DEFAULT	2048
#define BATCH_DEFAULT	1000  /* ms */
#define TIMEOUT_DEFAULT 10000 /* ms */
#define ANSWER_MAX	65536
#define ATTEMPTS	5
#define RETRY_MS	1000 /* before the second attempt; then twice that, and so on */
#define RETRY_MAX_MS	60000

struct tracer {
	struct trace_queue queue;
	struct pool *pool; /* one thread, for send */
	struct job send;   /* runs as long as the tracer lives */
	atomic_bool cancel;
	_Atomic uint64_t exported, dropped;
	char *url, *service_name, *instance;
	struct tls_ctx *tls;
	unsigned batch_ms, timeout_ms;
	struct buf body, answer; /* of the thread */
};

static struct tracer *tracer_of(struct job *j)
{
	return (struct tracer *)((char *)j - offsetof(struct tracer, send));
}

/* ---- on its thread ---- */

static void count(struct tracer *t, uint64_t exported, uint64_t dropped)
{
	atomic_fetch_add_explicit(&t->exported, exported, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->dropped, dropped, memory_order_relaxed);
}

/* OTLP specification, "Retryable Response Codes"; and no answer at all. */
static bool worth_retrying(int r, int status)
{
	if (r != 0)
		return r == PQC_ETEMP || r == PQC_ETIMEOUT || r == PQC_ECLOSED ||
		       r == PQC_ENOTFOUND;
	return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Before the next attempt; spread, so that those who failed together do not return together. */
static uint64_t delay_of(unsigned attempt, unsigned retry_after)
{
	uint64_t ms = (uint64_t)RETRY_MS << attempt, asked = (uint64_t)retry_after * 1000;

	if (asked > ms)
		ms = asked < RETRY_MAX_MS ? asked : RETRY_MAX_MS;
	return ms + trace_now() / 1000 % (ms / 4);
}

/* True when the collector has the n spans of the body. */
static bool post(struct tracer *t, size_t n)
{
	unsigned retry_after;
	struct fetch f = {.url = t->url,
			  .content_type = "application/json",
			  .body = t->body.p,
			  .body_len = t->body.len,
			  .tls = t->tls,
			  .answer_max = ANSWER_MAX,
			  .cancel = &t->cancel,
			  .retry_after = &retry_after};

	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		int status = 0, r;

		if ((f.timeout_ms = (unsigned)trace_queue_left(&t->queue, t->timeout_ms)) == 0)
			break;
		buf_reset(&t->answer);
		r = fetch_run(&f, &status, &t->answer, NULL);
		if (status / 100 == 2) {
			uint64_t lost = otlp_rejected(t->answer.p, t->answer.len);

			lost = lost < n ? lost : n;
			count(t, n - lost, lost);
			return true;
		}
		if (!worth_retrying(r, status) || attempt + 1 == ATTEMPTS ||
		    !trace_queue_pause(&t->queue, delay_of(attempt, retry_after)))
			break;
	}
	return false;
}

static void send_all(struct job *j)
{
	struct tracer *t = tracer_of(j);
	size_t n;

	while ((n = trace_queue_wait(&t->queue, t->batch_ms)) > 0) {
		buf_reset(&t->body);
		otlp_begin(&t->body, t->service_name, t->instance);
		for (size_t i = 0; i < n; i++)
			otlp_span(&t->body, trace_queue_at(&t->queue, i), i == 0);
		otlp_end(&t->body);
		/* Before they are sent: their places are wanted. */
		trace_queue_drop(&t->queue, n);
		if (buf_error(&t->body) || !post(t, n))
			count(t, 0, n);
	}
	trace_queue_end(&t->queue);
}

/* ---- for its owner ---- */

/* The pool tells of a job that has ended; nobody waits for that here. */
static void ignore(void *arg)
{
	(void)arg;
}

static void destroy(struct tracer *t)
{
	pool_free(t->pool); /* joins */
	trace_queue_destroy(&t->queue);
	tls_ctx_unref(t->tls);
	buf_free(&t->body);
	buf_free(&t->answer);
	free(t->url);
	free(t->service_name);
	free(t->instance);
	free(t);
}

static int set_endpoint(struct tracer *t, const struct tracer_opts *o, struct err *e)
{
	size_t n = strlen(o->endpoint);
	struct fetch_url u;

	while (n > 0 && o->endpoint[n - 1] == '/')
		n--;
	if (asprintf(&t->url, "%.*s/v1/traces", (int)n, o->endpoint) < 0) {
		t->url = NULL;
		return err_set(e, PQC_ENOMEM, "no memory for traces");
	}
	if (fetch_url_parse(t->url, &u, e) != 0) {
		err_prefix(e, "traces");
		return err_set(e, PQC_ECONFIG, "%s", e ? e->msg : "");
	}
	if (strchr(u.target, '?'))
		return err_set(e, PQC_ECONFIG, "traces: address '%s' has a query", o->endpoint);
	return u.at.tls ? tls_client_ctx(o->ca_file, &t->tls, e) : 0;
}

static int set_up(struct tracer *t, const struct tracer_opts *o, struct err *e)
{
	int r;

	t->batch_ms = o->batch_ms ? o->batch_ms : BATCH_DEFAULT;
	t->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_DEFAULT;
	t->send.run = send_all;
	buf_init(&t->body, (BATCH_SPANS + 1) * OTLP_SPAN_MAX);
	buf_init(&t->answer, ANSWER_MAX);
	if ((r = set_endpoint(t, o, e)) != 0)
		return r;
	t->service_name = strdup(o->service_name);
	t->instance = o->instance ? strdup(o->instance) : NULL;
	if (!t->service_name || (o->instance && !t->instance) ||
	    trace_queue_init(&t->queue, o->queue_max ? o->queue_max : QUEUE_DEFAULT, BATCH_SPANS))
		return err_set(e, PQC_ENOMEM, "no memory for traces");
	if ((r = pool_new(&t->pool, &(struct pool_opts){.threads = 1, .notify = ignore})) != 0)
		return err_set(e, r, "no thread for traces");
	return 0;
}

int tracer_new(struct tracer **out, const struct tracer_opts *o, struct err *e)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(e, PQC_ENOMEM, "no memory for traces");
	if ((r = set_up(t, o, e)) != 0) {
		destroy(t);
		return r;
	}
	pool_submit(t->pool, &t->send);
	*out = t;
	return 0;
}

void tracer_emit(struct tracer *t, const struct trace_span *s)
{
	if (t && s->ctx.sampled && !trace_queue_put(&t->queue, s))
		count(t, 0, 1);
}

void tracer_counts(const struct tracer *t, uint64_t *exported, uint64_t *dropped)
{
	*exported = t ? atomic_load_explicit(&t->exported, memory_order_relaxed) : 0;
	*dropped = t ? atomic_load_explicit(&t->dropped, memory_order_relaxed) : 0;
}

void tracer_free(struct tracer *t, unsigned flush_ms)
{
	if (!t)
		return;
	trace_queue_close(&t->queue, flush_ms);
	atomic_store(&t->cancel, true);
	destroy(t);
}
