/* The reference of all metrics, in Markdown. */
#include "telemetry/metrics_internal.h"
#include "telemetry/windows.h"

#define LABELS_MAX 3
#define VALUES_MAX 8

struct text {
	const char *p;
	size_t n;
};

/* The label at *s (key="value", and a comma when more follow), and past it; false at the end. */
static bool next_label(const char **s, struct text *key, struct text *value)
{
	const char *is = strchr(*s, '='), *end = is != NULL ? strchr(is + 2, '"') : NULL;

	if (end == NULL)
		return false;
	*key = (struct text){*s, (size_t)(is - *s)};
	*value = (struct text){is + 2, (size_t)(end - is - 2)};
	*s = end + 1 + (end[1] == ',');
	return true;
}

static bool listed(const struct text *list, size_t n, struct text t)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].n == t.n && memcmp(list[i].p, t.p, t.n) == 0)
			return true;
	return false;
}

/* "direction (put, get); result (done, failed)", from the labels of the family's series. */
static void put_labels(struct buf *b, int first)
{
	struct text key[LABELS_MAX], value[LABELS_MAX][VALUES_MAX], k, v;
	const struct metric_family *family = metric_table[first].family;
	size_t keys = 0, values[LABELS_MAX] = {0};

	for (int s = first; s < METRIC_COUNT && metric_table[s].family == family; s++) {
		const char *at = metric_table[s].labels;

		for (size_t i = 0; i < LABELS_MAX && next_label(&at, &k, &v); i++) {
			key[i] = k;
			if (i == keys)
				keys++;
			if (values[i] < VALUES_MAX && !listed(value[i], values[i], v))
				value[i][values[i]++] = v;
		}
	}
	for (size_t i = 0; i < keys; i++) {
		buf_printf(b, "%s%.*s (", i > 0 ? "; " : "", (int)key[i].n, key[i].p);
		for (size_t j = 0; j < values[i]; j++)
			buf_printf(b, "%s%.*s", j > 0 ? ", " : "", (int)value[i][j].n,
				   value[i][j].p);
		buf_put_str(b, ")");
	}
}

static void put_heading(struct buf *b, const char *title, const char *last)
{
	buf_printf(b, "%s\n\n| Name | Type | Meaning | %s |\n| --- | --- | --- | --- |\n", title,
		   last);
}

static void put_families(struct buf *b)
{
	const struct metric_family *last = NULL, *f;

	put_heading(b, "`/metrics`, counters and gauges:", "Labels");
	for (int k = 0; k < METRIC_COUNT; k++) {
		f = metric_table[k].family;
		if (f == last || f->type == T_INTERNAL)
			continue;
		last = f;
		buf_printf(b, "| `%s` | %s | %s | ", f->name,
			   f->type == T_COUNTER ? "counter" : "gauge", f->help);
		if (k == M_BUILD_INFO)
			buf_put_str(b, "version; suite; openssl");
		else
			put_labels(b, k);
		buf_put_str(b, " |\n");
	}
}

static void put_histograms(struct buf *b)
{
	put_heading(b, "\n`/metrics`, histograms:", "Buckets");
	for (int h = 0; h < HISTO_COUNT; h++) {
		const struct histo_def *d = &histo_table[h];

		buf_printf(b, "| `%s` | histogram | %s | ", d->name, d->help);
		for (size_t i = 0; i < d->n; i++)
			buf_printf(b, "%s ", d->bounds[i].text);
		buf_put_str(b, "+Inf |\n");
	}
}

int metrics_reference(struct buf *out)
{
#define ROW(symbol, type, name, unit, labels, help) {name, type, labels, help},
	static const struct {
		const char *name, *type, *labels, *help;
	} windows[] = {WINDOW_LIST(ROW)};
#undef ROW

	put_families(out);
	put_histograms(out);
	put_heading(out, "\n`/performance-metrics`:", "Labels");
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		buf_printf(out, "| `%s` | %s | %s | %s |\n", windows[i].name, windows[i].type,
			   windows[i].help, windows[i].labels);
	return buf_error(out);
}
