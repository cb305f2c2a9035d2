/* The thread that takes spans from the queue and has the collector take them. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/pool.h"
#include "telemetry/trace_queue.h"

#define BATCH_SPANS   512
#define QUEUE_DEFAULT 2048
#define BATCH_DEFAULT 1000 /* ms */

struct tracer {
	struct trace_queue queue;
	struct pool *pool; /* one thread, for send */
	struct job send;   /* runs as long as the tracer lives */
	unsigned batch_ms;
	_Atomic uint64_t exported, dropped;
};

static struct tracer *tracer_of(struct job *j)
{
	return (struct tracer *)((char *)j - offsetof(struct tracer, send));
}

static void send_all(struct job *j)
{
	struct tracer *t = tracer_of(j);
	size_t n;

	while ((n = trace_queue_wait(&t->queue, t->batch_ms)) > 0) {
		trace_queue_drop(&t->queue, n);
		atomic_fetch_add_explicit(&t->dropped, n, memory_order_relaxed);
	}
	trace_queue_end(&t->queue);
}

/* The pool tells of a job that has ended; nobody waits for that here. */
static void ignore(void *arg)
{
	(void)arg;
}

static void destroy(struct tracer *t)
{
	pool_free(t->pool); /* joins */
	trace_queue_destroy(&t->queue);
	free(t);
}

int tracer_new(struct tracer **out, const struct tracer_opts *o, struct err *e)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(e, PQC_ENOMEM, "no memory for traces");
	t->batch_ms = o->batch_ms ? o->batch_ms : BATCH_DEFAULT;
	t->send.run = send_all;
	if ((r = trace_queue_init(&t->queue, o->queue_max ? o->queue_max : QUEUE_DEFAULT,
				  BATCH_SPANS)) != 0 ||
	    (r = pool_new(&t->pool, &(struct pool_opts){.threads = 1, .notify = ignore})) != 0) {
		destroy(t);
		return err_set(e, r, "no memory or thread for traces");
	}
	pool_submit(t->pool, &t->send);
	*out = t;
	return 0;
}

void tracer_emit(struct tracer *t, const struct trace_span *s)
{
	if (t && s->ctx.sampled && !trace_queue_put(&t->queue, s))
		atomic_fetch_add_explicit(&t->dropped, 1, memory_order_relaxed);
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
	destroy(t);
}
