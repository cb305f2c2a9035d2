/*
 * What is looked at every few seconds: samples for the windows, a write to the disk, the clocks, the key, how far the
 * event loop is behind, whose fault it is when transfers are slow. Nothing here is on the way of a transfer.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "crypto/secmem.h"
#include "pqc.h"
#include "server/put_impl.h"
#include "telemetry/process.h"

#define SAMPLE_MS    WINDOWS_SAMPLE_MS
#define PROBE_MS     15000
#define USAGE_MIN_MS 30000
#define USAGE_SHARE  50 /* walking the ledger takes at most a fiftieth of the time */
#define LAG_MS	     500
#define LAG_KEPT     30 /* of LAG_MS: the last 15 s */
#define FILL_KEPT    24 /* of SAMPLE_MS: the last 2 min */
#define JUMP_S	     10
#define LOST_PERMILLE \
	5 /* packets out of order, of those received, that a network without faults stays below */

struct watchman {
	struct server *s;
	struct timer sample, lag;
	struct health_input in;
	enum health_status last;
	/* a write to the disk, on a disk worker */
	struct job probe_job;
	bool probing;
	int probe_rc;
	int64_t probe_offset;
	uint64_t probe_began, probe_us;
	struct err probe_err;
	/* what the ledger says, likewise */
	struct job usage_job;
	bool counting;
	int usage_rc;
	uint64_t usage_bytes, usage_objects, usage_began, usage_next;
	/* the loop */
	uint64_t lag_due;
	uint32_t lag_ms[LAG_KEPT];
	unsigned lag_at;
	/* what was seen before */
	int64_t clock_offset; /* wall clock - monotonic, seconds */
	uint64_t free_seen[FILL_KEPT];
	unsigned fill_at, fill_count;
	uint64_t moved; /* bytes and admissions so far */
};

/* ---- the disk ---- */

static void probe_run(struct job *j)
{
	struct watchman *w = (struct watchman *)((char *)j - offsetof(struct watchman, probe_job));
	uint64_t began = clock_ns();

	w->probe_rc = store_probe(w->s->store, &w->probe_offset, &w->probe_err);
	w->probe_us = (clock_ns() - began) / 1000;
}

static void probe_done(struct job *j)
{
	struct watchman *w = (struct watchman *)((char *)j - offsetof(struct watchman, probe_job));

	w->probing = false;
	w->in.probe_ok = w->probe_rc == 0;
	w->in.probe_at_ms = clock_ms();
	w->in.probe_us = (uint32_t)w->probe_us;
	snprintf(w->in.probe_error, sizeof(w->in.probe_error), "%.*s",
		 (int)sizeof(w->in.probe_error) - 1, w->probe_rc != 0 ? w->probe_err.msg : "");
	if (w->probe_rc == 0)
		w->in.store_clock_offset_s = w->probe_offset;
}

static void probe(struct watchman *w)
{
	if (w->probing || (w->probe_began != 0 && clock_ms() - w->probe_began < PROBE_MS))
		return;
	w->probing = true;
	w->probe_began = clock_ms();
	w->probe_job = (struct job){.run = probe_run, .done = probe_done};
	pool_submit(w->s->disk, &w->probe_job);
}

static void usage_run(struct job *j)
{
	struct watchman *w = (struct watchman *)((char *)j - offsetof(struct watchman, usage_job));

	w->usage_rc = store_usage(w->s->store, NULL, &w->usage_bytes, &w->usage_objects, NULL);
}

static void usage_done(struct job *j)
{
	struct watchman *w = (struct watchman *)((char *)j - offsetof(struct watchman, usage_job));
	uint64_t took = clock_ms() - w->usage_began;

	w->counting = false;
	w->usage_next = clock_ms() + USAGE_MIN_MS + took * USAGE_SHARE;
	if (w->usage_rc != 0)
		return;
	metric_set(&w->s->metrics, M_SPACE_USED, w->usage_bytes);
	metric_set(&w->s->metrics, M_OBJECTS, w->usage_objects);
}

static void count_usage(struct watchman *w)
{
	if (w->counting || clock_ms() < w->usage_next)
		return;
	w->counting = true;
	w->usage_began = clock_ms();
	w->usage_job = (struct job){.run = usage_run, .done = usage_done};
	pool_submit(w->s->disk, &w->usage_job);
}

static void look_at_space(struct watchman *w)
{
	struct health_input *in = &w->in;
	uint64_t before;

	in->min_free = w->s->o.min_free;
	if (store_space(w->s->store, &in->free_bytes, &in->total_bytes) != 0)
		in->probe_ok = false;
	before = w->free_seen[w->fill_at % FILL_KEPT];
	w->free_seen[w->fill_at++ % FILL_KEPT] = in->free_bytes;
	/* A rate of less than the whole time would take the end of a round for the end of the disk. */
	in->fill_bytes_per_s = 0;
	if (w->fill_count == FILL_KEPT && before > in->free_bytes)
		in->fill_bytes_per_s =
			(before - in->free_bytes) * 1000 / (FILL_KEPT * (uint64_t)SAMPLE_MS);
	if (w->fill_count < FILL_KEPT)
		w->fill_count++;
}

/* ---- the loop: a timer that says how late it was ---- */

static void lag_tick(struct timer *t)
{
	struct watchman *w = (struct watchman *)((char *)t - offsetof(struct watchman, lag));
	uint64_t now = clock_ms();

	w->lag_ms[w->lag_at++ % LAG_KEPT] = now > w->lag_due ? (uint32_t)(now - w->lag_due) : 0;
	w->lag_due = now + LAG_MS;
	loop_timer_set(w->s->loop, t, LAG_MS);
}

static double worst_lag(const struct watchman *w)
{
	uint32_t worst = 0;

	for (size_t i = 0; i < LAG_KEPT; i++)
		if (w->lag_ms[i] > worst)
			worst = w->lag_ms[i];
	return worst / 1000.0;
}

/* ---- the clocks, and whether anything moves ---- */

static void look_at_clocks(struct watchman *w)
{
	int64_t offset = (int64_t)clock_unix() - (int64_t)(clock_ms() / 1000),
		jump = offset - w->clock_offset;

	w->in.now_ms = clock_ms();
	w->in.now_unix = clock_unix();
	if (jump > JUMP_S || jump < -JUMP_S) {
		w->in.clock_jump_s = jump;
		w->in.clock_jump_at_ms = w->in.now_ms;
	}
	w->clock_offset = offset;
}

static void look_at_queue(struct watchman *w)
{
	const struct metrics *m = &w->s->metrics;
	uint64_t moved = metric_get(m, M_BYTES_IN) + metric_get(m, M_BYTES_OUT) +
			 metric_get(m, M_QUEUE_ADMITTED);

	w->in.waiting = queue_waiting(w->s->queue);
	if (w->in.waiting == 0 || moved != w->moved)
		w->in.moved_at_ms = w->in.now_ms;
	w->moved = moved;
}

/* ---- whose fault a wait for the peer is: the network's or the peer's own ---- */

/* 0..1000: how much of the connection's slowness is the network's; what the kernel does not tell is the peer's. */
static unsigned network_share(const struct conn *c)
{
	struct tcp_info i = {0};
	socklen_t n = sizeof(i);

	if (getsockopt(stream_fd(c->st), IPPROTO_TCP, TCP_INFO, &i, &n) != 0)
		return 0;
	if (c->t.put) /* received: all we see of the path is what arrives out of order, or twice */
		return (uint64_t)i.tcpi_rcv_ooopack * 1000 >=
					       (uint64_t)i.tcpi_segs_in * LOST_PERMILLE &&
				       i.tcpi_rcv_ooopack > 0
			       ? 1000
			       : 0;
	if (i.tcpi_busy_time == 0 || i.tcpi_rwnd_limited > i.tcpi_busy_time)
		return 0; /* the peer's window was closed all the time */
	return (unsigned)(1000 - i.tcpi_rwnd_limited * 1000 / i.tcpi_busy_time);
}

static void look_at_peers(struct watchman *w)
{
	uint64_t sum = 0, n = 0;

	for (const struct conn *c = w->s->conns; c != NULL; c = c->next)
		if (c->t.state == T_DATA) {
			sum += network_share(c);
			n++;
		}
	metric_set(&w->s->metrics, M_PEER_NETWORK_PERMILLE, n > 0 ? sum / n : 0);
}

/* ---- all of it ---- */

static void note_health(struct watchman *w)
{
	enum health_status now;
	const char *reason = NULL;
	struct health h;

	watchman_health(w->s, &h);
	health_metrics(&h, &w->s->metrics);
	now = health_worst(&h, &reason);
	if (now == w->last)
		return;
	log_event(w->s->log, now == HEALTHY ? LOG_INFO : LOG_WARN, "health.changed",
		  (struct log_field[]){log_str("status", health_name(now)),
				       log_str("before", health_name(w->last)),
				       log_str("reason", reason),
				       {0}});
	w->last = now;
}

static void look(struct watchman *w)
{
	look_at_clocks(w);
	look_at_space(w);
	look_at_queue(w);
	look_at_peers(w);
	probe(w);
	count_usage(w);
	note_health(w);
}

static void sample_tick(struct timer *t)
{
	struct watchman *w = (struct watchman *)((char *)t - offsetof(struct watchman, sample));

	look(w);
	watchman_gauges(w->s);
	windows_sample(w->s->windows, &w->s->metrics, clock_ms());
	loop_timer_set(w->s->loop, t, SAMPLE_MS);
}

/* Bytes that arrived and are not durable yet, and how long the oldest of them have been there. */
static void gauge_lag(struct server *s)
{
	uint64_t bytes = 0, oldest = 0, now = clock_ms();

	for (const struct put *p = s->puts; p != NULL; p = p->next) {
		const struct batch *b[2] = {p->fill, p->flush_running ? p->flushing : NULL};

		for (int k = 0; k < 2; k++) {
			if (b[k] == NULL || b[k]->count == 0)
				continue;
			bytes += b[k]->bytes;
			if (oldest == 0 || b[k]->since < oldest)
				oldest = b[k]->since;
		}
	}
	metric_set(&s->metrics, M_LAG_BYTES, bytes);
	metric_set_f64(&s->metrics, M_LAG_SECONDS, oldest != 0 ? (double)(now - oldest) / 1000 : 0);
}

static void gauge_counts(struct server *s)
{
	struct metrics *m = &s->metrics;
	struct hooks_counts events = {0};
	uint64_t exported = 0, dropped = 0;

	if (s->hooks != NULL)
		hooks_counts(s->hooks, &events);
	metric_set(m, M_EVENTS_DELIVERED, events.delivered);
	metric_set(m, M_EVENTS_RETRIED, events.retried);
	metric_set(m, M_EVENTS_GIVEN_UP, events.given_up);
	metric_set(m, M_EVENTS_PENDING, events.pending);
	tracer_counts(s->tracer, &exported, &dropped);
	metric_set(m, M_SPANS_EXPORTED, exported);
	metric_set(m, M_SPANS_DROPPED, dropped);
}

void watchman_gauges(struct server *s)
{
	struct metrics *m = &s->metrics;
	const struct watchman *w = s->watchman;
	uint64_t oldest = queue_oldest_ms(s->queue);

	metric_set(m, M_SLOTS, queue_slots(s->queue));
	metric_set(m, M_QUEUE_LENGTH, queue_waiting(s->queue));
	metric_set_f64(m, M_QUEUE_OLDEST, oldest != 0 ? (double)(clock_ms() - oldest) / 1000 : 0);
	metric_set(m, M_SPACE_FREE, w->in.free_bytes);
	metric_set(m, M_SPACE_TOTAL, w->in.total_bytes);
	metric_set(m, M_SPACE_MIN_FREE, s->o.min_free);
	metric_set(m, M_DRAINING, s->draining);
	metric_set(m, M_BUNDLE_EXPIRY, hs_bundle_not_after(s->bundle));
	metric_set(m, M_TLS_EXPIRY, s->tls != NULL ? tls_ctx_not_after(s->tls) : 0);
	metric_set(m, M_IDENTITY_CREATED, s->o.identity_created);
	metric_set(m, M_KEK_CREATED, s->o.kek_created);
	metric_set_f64(m, M_LOOP_LAG, worst_lag(w));
	gauge_lag(s);
	gauge_counts(s);
	process_metrics_update(m);
}

void watchman_health(struct server *s, struct health *h)
{
	struct health_input *in = &s->watchman->in;

	in->now_ms = clock_ms();
	in->now_unix = clock_unix();
	in->bundle_not_after = hs_bundle_not_after(s->bundle);
	in->key_ok = s->key_ok;
	in->draining = s->draining;
	health_evaluate(in, h);
}

int watchman_start(struct server *s, struct err *e)
{
	struct watchman *w = calloc(1, sizeof(*w));
	struct windows_opts o = {.cpu_workers = s->o.threads, .disk_workers = DISK_THREADS};

	if (w == NULL || windows_new(&s->windows, &o) != 0) {
		free(w);
		return err_set(e, PQC_ENOMEM, "out of memory");
	}
	s->watchman = w;
	w->s = s;
	w->in.probe_ok = true;
	w->in.bundle_grace = HS_BUNDLE_GRACE;
	w->in.probe_at_ms = clock_ms();
	w->clock_offset = (int64_t)clock_unix() - (int64_t)(clock_ms() / 1000);
	w->sample.cb = sample_tick;
	w->lag.cb = lag_tick;
	w->lag_due = clock_ms();
	metrics_info(&s->metrics, pqc_version(), identity_public(s->id)->suite->name,
		     crypto_version());
	loop_timer_set(s->loop, &w->sample, 0);
	loop_timer_set(s->loop, &w->lag, 0);
	look(w);
	return 0;
}

void watchman_free(struct watchman *w)
{
	free(w);
}
