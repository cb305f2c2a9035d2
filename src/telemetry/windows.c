#include "telemetry/windows.h"

#include <stdlib.h>

#include "telemetry/metrics_internal.h"
#include "telemetry/windows_internal.h"

#define SAMPLES	      185  /* 15 minutes and some slack */
#define EARLY_MS      100  /* by which a timer may be early */
#define SHORTEST_MS   1000 /* what a window must cover to be shown */
#define THROUGHPUT_MS 60000

struct sample {
	uint64_t at_ms;
	struct window_counts c;
};

struct windows {
	struct windows_opts o;
	size_t first, n; /* a ring, oldest first */
	struct sample ring[SAMPLES];
};

int windows_new(struct windows **out, const struct windows_opts *o)
{
	struct windows *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return PQC_ENOMEM;
	w->o = *o;
	if (w->o.cpu_workers == 0)
		w->o.cpu_workers = 1;
	if (w->o.disk_workers == 0)
		w->o.disk_workers = 1;
	*out = w;
	return 0;
}

void windows_free(struct windows *w)
{
	free(w);
}

static const struct sample *sample_at(const struct windows *w, size_t i)
{
	return &w->ring[(w->first + i) % SAMPLES];
}

static void count(const struct metrics *m, struct window_counts *out)
{
	for (int k = 0; k < METRIC_COUNT; k++)
		out->v[k] = metric_get(m, (enum metric)k);
	for (int h = 0; h < HISTO_COUNT; h++)
		for (size_t i = 0; i < HISTO_BUCKETS; i++)
			out->bucket[h][i] =
				atomic_load_explicit(&m->histo[h].bucket[i], memory_order_relaxed);
}

static double throughput(const struct windows *w, const struct metrics *m, uint64_t now_ms)
{
	struct window win;

	if (!windows_delta(w, m, now_ms, THROUGHPUT_MS, &win) || win.d.v[M_ACT_VERIFY] == 0)
		return 0;
	/* bytes per nanosecond are a thousand MB per second */
	return 1e3 * (double)win.d.v[M_BYTES_IN] / (double)win.d.v[M_ACT_VERIFY];
}

void windows_sample(struct windows *w, struct metrics *m, uint64_t now_ms)
{
	struct sample *s;
	uint64_t last = w->n > 0 ? sample_at(w, w->n - 1)->at_ms : 0;

	if (m->off)
		return;
	if (w->n > 0 && now_ms < last)
		w->n = 0;
	if (w->n > 0 && now_ms - last < WINDOWS_SAMPLE_MS - EARLY_MS)
		return;
	if (w->n == SAMPLES) {
		w->first = (w->first + 1) % SAMPLES;
		w->n--;
	}
	s = &w->ring[(w->first + w->n++) % SAMPLES];
	s->at_ms = now_ms;
	count(m, &s->c);
	metric_set_f64(m, M_THROUGHPUT, throughput(w, m, now_ms));
}

static uint64_t grown(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

bool windows_delta(const struct windows *w, const struct metrics *m, uint64_t now_ms,
		   uint64_t span_ms, struct window *out)
{
	const struct sample *from = NULL;

	for (size_t i = 0; i < w->n && from == NULL; i++) {
		const struct sample *s = sample_at(w, i);

		if (s->at_ms <= now_ms && now_ms - s->at_ms <= span_ms)
			from = s;
	}
	if (from == NULL || now_ms - from->at_ms < SHORTEST_MS)
		return false;
	out->elapsed_ms = now_ms - from->at_ms;
	count(m, &out->d);
	for (int k = 0; k < METRIC_COUNT; k++)
		out->d.v[k] = grown(from->c.v[k], out->d.v[k]);
	for (int h = 0; h < HISTO_COUNT; h++)
		for (size_t i = 0; i < HISTO_BUCKETS; i++)
			out->d.bucket[h][i] = grown(from->c.bucket[h][i], out->d.bucket[h][i]);
	return true;
}

double window_rate(const struct window *win, enum metric k)
{
	return 1e3 * (double)win->d.v[k] / (double)win->elapsed_ms;
}

bool windows_rate(const struct windows *w, const struct metrics *m, uint64_t now_ms,
		  uint64_t span_ms, enum metric k, double *per_second)
{
	struct window win;

	if (!windows_delta(w, m, now_ms, span_ms, &win))
		return false;
	*per_second = window_rate(&win, k);
	return true;
}

bool window_quantile(const struct window *win, enum histo h, double q, double *out)
{
	const struct histo_def *d = &histo_table[h];
	const uint64_t *bucket = win->d.bucket[h];
	double total = 0, below = 0, from, rank;
	size_t i = 0;

	for (size_t j = 0; j <= d->n; j++)
		total += (double)bucket[j];
	if (total == 0)
		return false;
	rank = q * total;
	while (i < d->n && below + (double)bucket[i] < rank)
		below += (double)bucket[i++];
	if (i == d->n) { /* in +Inf: the best that can be said */
		*out = d->bounds[d->n - 1].le;
		return true;
	}
	from = i > 0 ? d->bounds[i - 1].le : 0;
	*out = from;
	if (bucket[i] > 0)
		*out += (d->bounds[i].le - from) * (rank - below) / (double)bucket[i];
	return true;
}

static double ratio(double part, double whole)
{
	if (whole <= 0 || part <= 0)
		return 0;
	return part < whole ? part / whole : 1;
}

void windows_load(const struct windows *w, const struct metrics *m, const struct window *win,
		  struct window_load *out)
{
	uint64_t permille = metric_get(m, M_PEER_NETWORK_PERMILLE);
	double all = 0, peer = (double)win->d.v[M_ACT_WAIT_PEER], elapsed, share;

	if (permille > 1000)
		permille = 1000;
	for (int k = M_ACT_VERIFY; k <= M_ACT_WAIT_SERVER; k++)
		all += (double)win->d.v[k];
	elapsed = 1e6 * (double)win->elapsed_ms; /* nanoseconds, as the activities */
	share = ratio(peer, all);
	*out = (struct window_load){0};
	out->busy[RES_CRYPTO] = ratio((double)win->d.v[M_ACT_VERIFY], elapsed * w->o.cpu_workers);
	out->busy[RES_DISK] = ratio((double)win->d.v[M_ACT_WRITE] + (double)win->d.v[M_ACT_FSYNC],
				    elapsed * w->o.disk_workers);
	out->busy[RES_NETWORK] = share * (double)permille / 1e3;
	out->busy[RES_CLIENT] = share * (double)(1000 - permille) / 1e3;
	if (all == 0)
		out->bottleneck = RES_NONE;
	else if (2 * peer > all)
		out->bottleneck = permille >= 500 ? RES_NETWORK : RES_CLIENT;
	else
		out->bottleneck =
			out->busy[RES_CRYPTO] > out->busy[RES_DISK] ? RES_CRYPTO : RES_DISK;
}
