/*
 * Spans that wait to be sent: a ring of fixed size. Many threads put, one takes.
 * What the taker sees stays in place until it is dropped from the ring.
 */
#ifndef PQC_TELEMETRY_TRACE_QUEUE_H
#define PQC_TELEMETRY_TRACE_QUEUE_H

#include <pthread.h>

#include "telemetry/trace.h"

struct trace_queue {
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;  /* the first span came, a batch is full, or it closes */
	pthread_cond_t empty; /* the taker has ended */
	struct trace_span *ring;
	size_t max, batch, first, count;
	bool closing, ended;
	uint64_t close_by; /* clock_ms() by which the taker should be done */
};

int trace_queue_init(struct trace_queue *q, size_t max, size_t batch) MUST_CHECK;
void trace_queue_destroy(struct trace_queue *q);
/* false: it is full. */
bool trace_queue_put(struct trace_queue *q, const struct trace_span *s);
/*
 * Wait for a batch, or for batch_ms after the first span; returns how many may be read with
 * trace_queue_at. 0: the queue is closing and empty.
 */
size_t trace_queue_wait(struct trace_queue *q, unsigned batch_ms);
const struct trace_span *trace_queue_at(const struct trace_queue *q, size_t i);
void trace_queue_drop(struct trace_queue *q, size_t n);
/* Wait ms milliseconds. false: the queue is closing and that time is not left. */
bool trace_queue_pause(struct trace_queue *q, uint64_t ms);
/* What is left of ms before close_by, if it is closing. */
uint64_t trace_queue_left(struct trace_queue *q, uint64_t ms);
/* The taker's last call. */
void trace_queue_end(struct trace_queue *q);
/* Have the taker finish; wait for that for at most ms milliseconds. */
void trace_queue_close(struct trace_queue *q, unsigned ms);

#endif
