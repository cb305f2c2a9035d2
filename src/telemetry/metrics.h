/*
 * The server's counters, gauges and histograms (telemetry/metrics_list.h has
 * them all). Recording is a few relaxed atomic operations: no lock, any thread.
 * Rendered as Prometheus text 0.0.4 or OpenMetrics 1.0.0.
 *
 * A struct metrics that is all zeros is ready for use. What is rendered while
 * others record is a state each series had, not one moment of all of them; but
 * a histogram's _count is always its +Inf bucket.
 */
#ifndef PQC_TELEMETRY_METRICS_H
#define PQC_TELEMETRY_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "telemetry/metrics_list.h"

#define METRIC_NAME(symbol, ...) symbol,
#define METRIC_SKIP(...)
enum metric { METRIC_LIST(METRIC_NAME, METRIC_SKIP, METRIC_NAME) METRIC_COUNT };
enum histo { HISTO_LIST(METRIC_NAME) HISTO_COUNT };
#undef METRIC_NAME
#undef METRIC_SKIP

#define HISTO_BUCKETS	  17	 /* at most, with +Inf */
#define METRICS_INFO_MAX  512	 /* bytes of build_info's labels */
#define METRICS_TEXT_MAX  131072 /* a rendering is never longer */
#define METRICS_TRACE_LEN 16	 /* bytes of a trace id */

/* The last observation of a bucket that had a trace id. Odd sequence: being written; 0: none. */
struct histo_exemplar {
	_Atomic uint64_t sequence, value, unix_time, trace[2];
};

struct histo_cells {
	_Atomic uint64_t bucket[HISTO_BUCKETS]; /* not cumulative */
	_Atomic uint64_t sum;			/* nanoseconds or bytes */
	struct histo_exemplar exemplar[HISTO_BUCKETS];
};

struct metrics {
	bool off;		     /* records nothing; set before other threads know of it */
	char info[METRICS_INFO_MAX]; /* labels of build_info */
	_Atomic uint64_t v[METRIC_COUNT];
	struct histo_cells histo[HISTO_COUNT];
};

static inline void metric_add(struct metrics *m, enum metric k, uint64_t n)
{
	if (!m->off)
		atomic_fetch_add_explicit(&m->v[k], n, memory_order_relaxed);
}
static inline void metric_sub(struct metrics *m, enum metric k, uint64_t n)
{
	if (!m->off)
		atomic_fetch_sub_explicit(&m->v[k], n, memory_order_relaxed);
}
static inline void metric_set(struct metrics *m, enum metric k, uint64_t n)
{
	if (!m->off)
		atomic_store_explicit(&m->v[k], n, memory_order_relaxed);
}
static inline uint64_t metric_get(const struct metrics *m, enum metric k)
{
	return atomic_load_explicit(&m->v[k], memory_order_relaxed);
}
/* For the counters of seconds (V_NS). */
static inline void metric_time(struct metrics *m, enum metric k, uint64_t ns)
{
	metric_add(m, k, ns);
}
/* For the gauges that are not whole numbers (V_F64); value is finite and not negative. */
static inline void metric_set_f64(struct metrics *m, enum metric k, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	metric_set(m, k, bits);
}
static inline double metric_get_f64(const struct metrics *m, enum metric k)
{
	uint64_t bits = metric_get(m, k);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * One observation, in the histogram's unit (seconds or bytes); less than 0
 * counts as 0, what is no number is ignored. trace_id[METRICS_TRACE_LEN], or
 * NULL: kept as the bucket's exemplar, unless another thread is just writing
 * one there.
 */
void histo_observe(struct metrics *m, enum histo h, double value, const uint8_t *trace_id);

/* The labels of pqc_build_info; once, before other threads know of m. What is too long is cut. */
void metrics_info(struct metrics *m, const char *version, const char *suite, const char *openssl);

enum metrics_format {
	METRICS_TEXT,
	METRICS_OPENMETRICS,
	METRICS_JSON /* of the windows only: telemetry/windows.h */
};

/*
 * What an Accept header (NULL: none) asks for, as *content_type, a static
 * string. OpenMetrics only where it is named and liked no less than plain text;
 * plain text when nothing fits.
 */
enum metrics_format metrics_negotiate(const char *accept, const char **content_type);

/* Append all series that have a value; nothing when m->off, but OpenMetrics' end. */
int metrics_render(const struct metrics *m, enum metrics_format f, struct buf *out) MUST_CHECK;

/* Append Markdown tables of all families, those of the windows too. */
int metrics_reference(struct buf *out) MUST_CHECK;

#endif
