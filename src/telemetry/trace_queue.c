#include "telemetry/trace_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

int trace_queue_init(struct trace_queue *q, size_t max, size_t batch)
{
	pthread_condattr_t monotonic;

	memset(q, 0, sizeof(*q));
	/* Not touched before it is needed, so most of it never takes memory. */
	if ((q->ring = calloc(max, sizeof(q->ring[0]))) == NULL)
		return PQC_ENOMEM;
	q->max = max;
	q->batch = batch < max ? batch : max;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wake, &monotonic);
	pthread_cond_init(&q->empty, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return 0;
}

void trace_queue_destroy(struct trace_queue *q)
{
	if (!q->ring)
		return;
	pthread_cond_destroy(&q->empty);
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q->ring);
	q->ring = NULL;
}

/* As much of s as is used. */
static void copy_span(struct trace_span *to, const struct trace_span *s)
{
	size_t n = 0;

	while (n < SPAN_ATTRS && s->attr[n].type != ATTR_END)
		n++;
	memcpy(to, s, offsetof(struct trace_span, attr) + n * sizeof(s->attr[0]));
	if (n < SPAN_ATTRS)
		to->attr[n].type = ATTR_END;
}

bool trace_queue_put(struct trace_queue *q, const struct trace_span *s)
{
	bool room;

	pthread_mutex_lock(&q->lock);
	room = q->count < q->max;
	if (room) {
		copy_span(&q->ring[(q->first + q->count) % q->max], s);
		q->count++;
		/* In between the taker sleeps on: a wake costs more than all the rest. */
		if (q->count == 1 || q->count == q->batch)
			pthread_cond_signal(&q->wake);
	}
	pthread_mutex_unlock(&q->lock);
	return room;
}

/* Wait on c until then (clock_ms()), or a signal. */
static void wait_until(struct trace_queue *q, pthread_cond_t *c, uint64_t then)
{
	struct timespec t = {(time_t)(then / 1000), (long)(then % 1000) * 1000000};

	pthread_cond_timedwait(c, &q->lock, &t);
}

size_t trace_queue_wait(struct trace_queue *q, unsigned batch_ms)
{
	uint64_t until;
	size_t n;

	pthread_mutex_lock(&q->lock);
	while (q->count == 0 && !q->closing)
		pthread_cond_wait(&q->wake, &q->lock);
	until = clock_ms() + batch_ms;
	while (q->count < q->batch && !q->closing && clock_ms() < until)
		wait_until(q, &q->wake, until);
	n = q->count < q->batch ? q->count : q->batch;
	pthread_mutex_unlock(&q->lock);
	return n;
}

/* Without the lock: only the taker moves first, and what lies from there on does not change. */
const struct trace_span *trace_queue_at(const struct trace_queue *q, size_t i)
{
	return &q->ring[(q->first + i) % q->max];
}

void trace_queue_drop(struct trace_queue *q, size_t n)
{
	pthread_mutex_lock(&q->lock);
	q->first = (q->first + n) % q->max;
	q->count -= n;
	pthread_mutex_unlock(&q->lock);
}

bool trace_queue_pause(struct trace_queue *q, uint64_t ms)
{
	uint64_t until = clock_ms() + ms;
	bool time_left;

	pthread_mutex_lock(&q->lock);
	while (clock_ms() < until && !(q->closing && until >= q->close_by))
		wait_until(q, &q->wake, until);
	time_left = clock_ms() >= until;
	pthread_mutex_unlock(&q->lock);
	return time_left;
}

uint64_t trace_queue_left(struct trace_queue *q, uint64_t ms)
{
	uint64_t now = clock_ms(), left;

	pthread_mutex_lock(&q->lock);
	left = !q->closing ? ms : q->close_by > now ? q->close_by - now : 0;
	pthread_mutex_unlock(&q->lock);
	return left < ms ? left : ms;
}

void trace_queue_end(struct trace_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->ended = true;
	pthread_cond_signal(&q->empty);
	pthread_mutex_unlock(&q->lock);
}

void trace_queue_close(struct trace_queue *q, unsigned ms)
{
	pthread_mutex_lock(&q->lock);
	q->closing = true;
	q->close_by = clock_ms() + ms;
	pthread_cond_signal(&q->wake);
	while (!q->ended && clock_ms() < q->close_by)
		wait_until(q, &q->empty, q->close_by);
	pthread_mutex_unlock(&q->lock);
}
