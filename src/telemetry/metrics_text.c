/* Prometheus text 0.0.4 and OpenMetrics 1.0.0. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "telemetry/metrics_internal.h"

#define NS 1000000000u

/* Most of a rendering is whole numbers, and printf is the slow part of it. */
void metrics_put_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	buf_put(b, digits + i, sizeof(digits) - i);
}

/* Take away the zeros at the end of a number with a point, and the point when nothing is behind it. */
static void trim(struct buf *b)
{
	size_t n = b->len;

	if (buf_error(b) != 0)
		return;
	while (b->p[n - 1] == '0')
		n--;
	buf_truncate(b, b->p[n - 1] == '.' ? n - 1 : n);
}

void metrics_put_ns(struct buf *b, uint64_t ns)
{
	metrics_put_u64(b, ns / NS);
	buf_printf(b, ".%09u", (unsigned)(ns % NS));
	trim(b);
}

void metrics_put_number(struct buf *b, double v)
{
	put_fixed(b, isfinite(v) ? v : 0, v < 1e6 ? 9 : 3);
	trim(b);
}

void metrics_put_head(struct buf *b, enum metrics_format f, const struct metrics_head *h)
{
	int len = (int)strlen(h->name);

	if (f == METRICS_TEXT) {
		buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", h->name, h->help, h->name, h->type);
		return;
	}
	if (strcmp(h->type, "counter") == 0)
		len -= (int)strlen("_total");
	buf_printf(b, "# TYPE %.*s %s\n", len, h->name, h->type);
	if (h->unit[0] != '\0')
		buf_printf(b, "# UNIT %.*s %s\n", len, h->name, h->unit);
	buf_printf(b, "# HELP %.*s %s\n", len, h->name, h->help);
}

static void put_value(struct buf *b, enum metric_value form, uint64_t v)
{
	double number;

	switch (form) {
	case V_U64:
		metrics_put_u64(b, v);
		break;
	case V_NS:
		metrics_put_ns(b, v);
		break;
	case V_F64:
		memcpy(&number, &v, sizeof(number));
		metrics_put_number(b, number);
		break;
	}
	buf_put_str(b, "\n");
}

static void put_series(struct buf *b, const struct metrics *m, enum metric k, uint64_t v)
{
	const struct metric_series *s = &metric_table[k];
	const char *labels = k == M_BUILD_INFO ? m->info : s->labels;

	buf_put_str(b, s->family->name);
	if (labels[0] != '\0') {
		buf_put_str(b, "{");
		buf_put_str(b, labels);
		buf_put_str(b, "}");
	}
	buf_put_str(b, " ");
	put_value(b, s->family->value, v);
}

static void put_exemplar(struct buf *b, const struct histo_cells *c, size_t bucket)
{
	struct exemplar x;
	char id[2 * METRICS_TRACE_LEN + 1];

	if (!histo_exemplar(c, bucket, &x))
		return;
	hex_encode(x.trace_id, sizeof(x.trace_id), id);
	buf_printf(b, " # {trace_id=\"%s\"} ", id);
	metrics_put_number(b, x.value);
	buf_printf(b, " %" PRIu64, x.unix_time);
}

static void put_histo(struct buf *b, const struct metrics *m, enum histo h, enum metrics_format f)
{
	const struct histo_def *d = &histo_table[h];
	const struct histo_cells *c = &m->histo[h];
	uint64_t count = 0, n, sum = atomic_load_explicit(&c->sum, memory_order_relaxed);

	metrics_put_head(b, f, &(struct metrics_head){d->name, "histogram", d->unit, d->help});
	for (size_t i = 0; i <= d->n; i++) {
		n = atomic_load_explicit(&c->bucket[i], memory_order_relaxed);
		count += n;
		buf_put_str(b, d->name);
		buf_put_str(b, "_bucket{le=\"");
		buf_put_str(b, i < d->n ? d->bounds[i].text : "+Inf");
		buf_put_str(b, "\"} ");
		metrics_put_u64(b, count);
		if (f == METRICS_OPENMETRICS && n > 0)
			put_exemplar(b, c, i);
		buf_put_str(b, "\n");
	}
	buf_printf(b, "%s_sum ", d->name);
	put_value(b, d->scale > 1 ? V_NS : V_U64, sum);
	buf_printf(b, "%s_count %" PRIu64 "\n", d->name, count);
}

int metrics_render(const struct metrics *m, enum metrics_format f, struct buf *out)
{
	const struct metric_family *last = NULL, *now;

	for (int k = 0; k < METRIC_COUNT && !m->off; k++) {
		uint64_t v = metric_get(m, (enum metric)k);

		now = metric_table[k].family;
		if (now->type == T_INTERNAL || (now->type == T_OPTIONAL && v == 0))
			continue;
		if (now != last)
			metrics_put_head(
				out, f,
				&(struct metrics_head){now->name,
						       now->type == T_COUNTER ? "counter" : "gauge",
						       now->unit, now->help});
		last = now;
		put_series(out, m, (enum metric)k, v);
	}
	for (int h = 0; h < HISTO_COUNT && !m->off; h++)
		put_histo(out, m, (enum histo)h, f);
	if (f == METRICS_OPENMETRICS)
		buf_put_str(out, "# EOF\n");
	return buf_error(out);
}
