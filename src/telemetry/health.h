/*
 * Whether the server can do its work. Pure: numbers and times in, checks out.
 *
 *   storage  unhealthy  the last probe (write, flush, read back) failed, or is older than 180 s
 *            degraded   it is older than 60 s
 *   space    unhealthy  less than 1 % and less than 16 MiB are free
 *            degraded   free <= min_free, or it will be within an hour at the present rate
 *   key      unhealthy  the last signature failed
 *   bundle   unhealthy  it ended longer ago than its grace
 *            degraded   it ended longer ago than half its grace: a rotation is overdue
 *   clock    unhealthy  the year is before 2026, or the store's file times differ by > 300 s
 *            degraded   they differ by > 10 s, or the clock was set by > 10 s in the last 10 min
 *   queue    unhealthy  somebody waits, and for 300 s nobody was admitted and no byte moved
 *            degraded   the same for 60 s
 * Draining makes the whole degraded at least.
 */
#ifndef PQC_TELEMETRY_HEALTH_H
#define PQC_TELEMETRY_HEALTH_H

#include "telemetry/metrics.h"

enum health_status { HEALTHY, DEGRADED, UNHEALTHY };
/* "healthy", "degraded", "unhealthy" */
const char *health_name(enum health_status s);

/* The checks, always all of them and in this order, which is that of M_HEALTH_STORAGE and so on. */
enum health_id {
	HEALTH_STORAGE,
	HEALTH_SPACE,
	HEALTH_KEY,
	HEALTH_BUNDLE,
	HEALTH_CLOCK,
	HEALTH_QUEUE,
	HEALTH_MAX
};

struct health_check {
	const char *name; /* static */
	enum health_status status;
	char message[160];
	uint64_t at_ms;	  /* clock_ms() of the observation */
	uint32_t took_us; /* to observe it; 0: no time worth naming */
};
struct health {
	struct health_check check[HEALTH_MAX];
	size_t n;
	bool draining;
};

struct health_input {
	uint64_t now_ms, now_unix;    /* clock_ms(), clock_unix() */
	bool probe_ok;		      /* of the store */
	char probe_error[120];	      /* why not; "" when not known */
	uint64_t probe_at_ms;	      /* when the last probe ended */
	uint32_t probe_us;	      /* how long it took */
	int64_t store_clock_offset_s; /* file time of the probe less our clock */
	uint64_t free_bytes, total_bytes, min_free;
	uint64_t fill_bytes_per_s; /* 0: it does not fill */
	bool key_ok;
	uint64_t bundle_not_after; /* unix seconds */
	uint64_t bundle_grace;	   /* seconds */
	int64_t clock_jump_s;	   /* of the wall clock against the monotonic one; 0: none */
	uint64_t clock_jump_at_ms;
	unsigned waiting;     /* in the queue */
	uint64_t moved_at_ms; /* last admission, or byte of any transfer */
	bool draining;
};

void health_evaluate(const struct health_input *in, struct health *out);

/* The worst status; *reason: its message, in h, or NULL when all is well. */
enum health_status health_worst(const struct health *h, const char **reason);

/* Append the checks as a JSON array of {"name","status","message","observed_seconds_ago","response_time_ms"}. */
void health_json(const struct health *h, uint64_t now_ms, struct buf *out);

/* Set pqc_health_status. */
void health_metrics(const struct health *h, struct metrics *m);

#endif
