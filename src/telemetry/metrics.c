#include "telemetry/metrics.h"

#include <math.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "telemetry/metrics_internal.h"

#define LABEL_MAX 128 /* bytes of a label of build_info, about */
#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

/* ---- the tables ---- */

#define FAMILY_OF(symbol, ...) F_##symbol,
#define FAMILY(family, ...)    family,
#define SKIP(...)
enum family { METRIC_LIST(FAMILY_OF, FAMILY, SKIP) FAMILY_COUNT };

#define DEFINE(index, t, v, n, u, h) \
	[index] = {.name = n, .unit = u, .help = h, .type = t, .value = v},
#define DEFINE_OF(symbol, ...) DEFINE(F_##symbol, __VA_ARGS__)
static const struct metric_family families[FAMILY_COUNT] = {METRIC_LIST(DEFINE_OF, DEFINE, SKIP)};

#define SERIES(symbol, f, l)   [symbol] = {.family = &families[f], .labels = l},
#define SERIES_OF(symbol, ...) SERIES(symbol, F_##symbol, "")
const struct metric_series metric_table[METRIC_COUNT] = {METRIC_LIST(SERIES_OF, SKIP, SERIES)};

#define B(bound)              \
	{                     \
		bound, #bound \
	}
static const struct histo_bound B_CRYPTO[] = {
	B(0.0005), B(0.001), B(0.0025), B(0.005), B(0.01), B(0.025),
	B(0.05),   B(0.1),   B(0.25),	B(0.5),	  B(1.0),
};
static const struct histo_bound B_PART[] = {
	B(0.0001), B(0.00025), B(0.0005), B(0.001), B(0.0025), B(0.005), B(0.01), B(0.025),
	B(0.05),   B(0.1),     B(0.25),	  B(0.5),   B(1.0),    B(2.5),	 B(5.0),  B(10.0),
};
static const struct histo_bound B_ANSWER[] = {
	B(0.001), B(0.0025), B(0.005), B(0.01), B(0.025), B(0.05), B(0.1),   B(0.25),
	B(0.5),	  B(1.0),    B(2.5),   B(5.0),	B(10.0),  B(60.0), B(600.0), B(3600.0),
};
static const struct histo_bound B_LONG[] = {
	B(0.01), B(0.05), B(0.1),  B(0.25),  B(0.5),   B(1.0),	  B(2.5),     B(5.0),
	B(10.0), B(30.0), B(60.0), B(300.0), B(900.0), B(3600.0), B(21600.0),
};
/* 64 KiB to 64 GiB; from a million on Prometheus writes them with an exponent. */
static const struct histo_bound B_SIZE[] = {
	B(65536.0),	    B(262144.0),	 B(1.048576e+06),     B(4.194304e+06),
	B(1.6777216e+07),   B(6.7108864e+07),	 B(2.68435456e+08),   B(1.073741824e+09),
	B(4.294967296e+09), B(1.7179869184e+10), B(6.8719476736e+10),
};
_Static_assert(COUNT(B_PART) < HISTO_BUCKETS && COUNT(B_ANSWER) < HISTO_BUCKETS,
	       "+Inf needs a bucket too");

/* "seconds" are summed as nanoseconds, "bytes" as they are. */
#define SCALE(unit) ((unit)[0] == 's' ? 1e9 : 1)
#define HISTOGRAM(symbol, b, n_, u, h) \
	[symbol] = {                   \
		.name = n_, .unit = u, .help = h, .bounds = b, .n = COUNT(b), .scale = SCALE(u)},
const struct histo_def histo_table[HISTO_COUNT] = {HISTO_LIST(HISTOGRAM)};

/* ---- recording ---- */

static uint64_t load(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

/* A sequence lock of which a writer that comes second goes away: the other's is as good. */
static void keep_exemplar(struct histo_exemplar *x, double value, const uint8_t *trace_id)
{
	uint64_t sequence = load(&x->sequence), bits, trace[2];

	if (sequence % 2 != 0 ||
	    !atomic_compare_exchange_strong_explicit(&x->sequence, &sequence, sequence + 1,
						     memory_order_acquire, memory_order_relaxed))
		return;
	atomic_thread_fence(memory_order_release);
	memcpy(&bits, &value, sizeof(bits));
	memcpy(trace, trace_id, sizeof(trace));
	store(&x->value, bits);
	store(&x->unix_time, clock_unix());
	store(&x->trace[0], trace[0]);
	store(&x->trace[1], trace[1]);
	atomic_store_explicit(&x->sequence, sequence + 2, memory_order_release);
}

bool histo_exemplar(const struct histo_cells *c, size_t bucket, struct exemplar *out)
{
	const struct histo_exemplar *x = &c->exemplar[bucket];
	uint64_t sequence, bits, trace[2];

	for (int tries = 0; tries < 3; tries++) {
		sequence = atomic_load_explicit(&x->sequence, memory_order_acquire);
		if (sequence == 0)
			return false;
		bits = load(&x->value);
		out->unix_time = load(&x->unix_time);
		trace[0] = load(&x->trace[0]);
		trace[1] = load(&x->trace[1]);
		atomic_thread_fence(memory_order_acquire);
		if (sequence % 2 == 0 && load(&x->sequence) == sequence) {
			memcpy(&out->value, &bits, sizeof(bits));
			memcpy(out->trace_id, trace, sizeof(trace));
			return true;
		}
	}
	return false;
}

void histo_observe(struct metrics *m, enum histo h, double value, const uint8_t *trace_id)
{
	const struct histo_def *d = &histo_table[h];
	struct histo_cells *c = &m->histo[h];
	double sum;
	size_t i = 0;

	if (m->off || isnan(value))
		return;
	if (value < 0)
		value = 0;
	while (i < d->n && value > d->bounds[i].le)
		i++;
	sum = value * d->scale;
	atomic_fetch_add_explicit(&c->sum, sum < 0x1p63 ? (uint64_t)(sum + 0.5) : UINT64_C(1) << 63,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&c->bucket[i], 1, memory_order_relaxed);
	if (trace_id != NULL && isfinite(value))
		keep_exemplar(&c->exemplar[i], value, trace_id);
}

/* ---- build_info ---- */

/* Append s as a label's value; what is not UTF-8 or deceives the eye becomes '?'. */
static void put_label(struct buf *b, const char *name, const char *s)
{
	size_t n = strlen(s), used, end;
	uint32_t cp;

	buf_printf(b, "%s%s=\"", b->len > 0 ? "," : "", name);
	for (end = b->len + LABEL_MAX; n > 0 && b->len < end; s += used, n -= used) {
		used = utf8_next(s, n, &cp);
		if (*s == '\n')
			buf_put_str(b, "\\n");
		else if (*s == '\\' || *s == '"')
			buf_printf(b, "\\%c", *s);
		else if (used == 0 || utf8_deceives(cp))
			buf_put_str(b, "?");
		else
			buf_put(b, s, used);
		if (used == 0)
			used = 1;
	}
	buf_put_str(b, "\"");
}

void metrics_info(struct metrics *m, const char *version, const char *suite, const char *openssl)
{
	struct buf b = BUF_INIT(METRICS_INFO_MAX - 1);
	const char *text;

	put_label(&b, "version", version);
	put_label(&b, "suite", suite);
	put_label(&b, "openssl", openssl);
	if ((text = buf_cstr(&b)) != NULL) {
		memcpy(m->info, text, b.len + 1);
		metric_set(m, M_BUILD_INFO, 1);
	}
	buf_free(&b);
}
