#include "base/clock.h"
#include "base/text.h"
#include "telemetry/metrics_internal.h"
#include "telemetry/windows_internal.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	uint64_t ms;
} spans[] = {{"1m", 60000}, {"5m", 300000}, {"15m", 900000}};

static const char *const resources[RES_COUNT] = {
	[RES_NONE] = "none", [RES_NETWORK] = "network", [RES_CRYPTO] = "crypto",
	[RES_DISK] = "disk", [RES_CLIENT] = "client",
};

static const struct {
	const char *name;
	enum histo histo;
} quantile_of[] = {
	{"key_exchange", H_KEY_EXCHANGE},
	{"handshake", H_HANDSHAKE},
	{"queue_wait", H_QUEUE_WAIT},
	{"transfer_start", H_TRANSFER_START},
	{"part_verify", H_PART_VERIFY},
	{"part_write", H_PART_WRITE},
	{"fsync", H_FSYNC},
	{"commit", H_COMMIT},
	{"transfer", H_TRANSFER_DURATION},
};
static const struct {
	const char *name;
	double q;
} quantiles[] = {{"0.5", 0.5}, {"0.95", 0.95}, {"0.99", 0.99}};

struct view {
	const char *name;
	const struct window *win;
	const struct window_load *load;
};

struct render {
	struct buf *out;
	enum metrics_format format;
	const struct metrics_head *head; /* of the family under way */
	char timestamp[32];
	bool headed; /* the family's head is there: it waits for a first value */
	bool begun;  /* JSON: a comma comes first */
};

/* One value; labels: key, value, ..., NULL, all of them static and plain. */
static void put(struct render *r, const char *const *labels, double v)
{
	bool json = r->format == METRICS_JSON;

	if (!json && !r->headed)
		metrics_put_head(r->out, r->format, r->head);
	r->headed = true;
	if (json)
		buf_printf(r->out, "%s{\"name\":\"%s\",\"labels\":{", r->begun ? ",\n" : "",
			   r->head->name);
	else
		buf_printf(r->out, "%s{", r->head->name);
	for (size_t i = 0; labels[i] != NULL; i += 2)
		buf_printf(r->out, json ? "%s\"%s\":\"%s\"" : "%s%s=\"%s\"", i > 0 ? "," : "",
			   labels[i], labels[i + 1]);
	buf_put_str(r->out, json ? "},\"value\":" : "} ");
	metrics_put_number(r->out, v);
	if (json)
		buf_printf(r->out, ",\"timestamp\":\"%s\",\"unit\":\"%s\"}", r->timestamp,
			   r->head->unit);
	else
		buf_put_str(r->out, "\n");
	r->begun = true;
}

#define LABELS(...) ((const char *const[]){__VA_ARGS__, "window", v->name, NULL})

static void put_bytes(struct render *r, const struct view *v)
{
	put(r, LABELS("direction", "received"), window_rate(v->win, M_BYTES_IN));
	put(r, LABELS("direction", "sent"), window_rate(v->win, M_BYTES_OUT));
}

static void put_transfers(struct render *r, const struct view *v)
{
	put(r, LABELS("result", "done"),
	    window_rate(v->win, M_PUT_DONE) + window_rate(v->win, M_GET_DONE));
	put(r, LABELS("result", "failed"),
	    window_rate(v->win, M_PUT_FAILED) + window_rate(v->win, M_GET_FAILED));
	put(r, LABELS("result", "interrupted"),
	    window_rate(v->win, M_PUT_INTERRUPTED) + window_rate(v->win, M_GET_INTERRUPTED));
	put(r, LABELS("result", "refused"),
	    window_rate(v->win, M_PUT_REFUSED) + window_rate(v->win, M_GET_REFUSED));
}

static void put_handshakes(struct render *r, const struct view *v)
{
	put(r, (const char *const[]){"window", v->name, NULL},
	    window_rate(v->win, M_KEY_EXCHANGES));
}

static void put_quantiles(struct render *r, const struct view *v)
{
	double value;

	for (size_t i = 0; i < COUNT(quantile_of); i++)
		for (size_t j = 0; j < COUNT(quantiles); j++)
			if (window_quantile(v->win, quantile_of[i].histo, quantiles[j].q, &value))
				put(r,
				    LABELS("metric", quantile_of[i].name, "quantile",
					   quantiles[j].name),
				    value);
}

static void put_busy(struct render *r, const struct view *v)
{
	for (int i = RES_NONE + 1; i < RES_COUNT; i++)
		put(r, LABELS("resource", resources[i]), v->load->busy[i]);
}

static void put_bottleneck(struct render *r, const struct view *v)
{
	for (int i = RES_NONE; i < RES_COUNT; i++)
		put(r, LABELS("resource", resources[i]), (int)v->load->bottleneck == i ? 1 : 0);
}

#define W_HEAD(symbol, t, n, u, labels, h) {.name = n, .type = t, .unit = u, .help = h},
static const struct metrics_head heads[] = {WINDOW_LIST(W_HEAD)};

/* In the order of WINDOW_LIST. */
static void (*const put_family[COUNT(heads)])(struct render *r, const struct view *v) = {
	put_bytes, put_transfers, put_handshakes, put_quantiles, put_busy, put_bottleneck,
};

int windows_render(const struct windows *w, const struct metrics *m, uint64_t now_ms,
		   enum metrics_format f, struct buf *out)
{
	struct render r = {.out = out, .format = f};
	struct window win[COUNT(spans)];
	struct window_load load[COUNT(spans)];
	struct view view[COUNT(spans)];
	size_t n = 0;

	fmt_time(clock_unix(), r.timestamp);
	for (size_t i = 0; i < COUNT(spans) && !m->off; i++) {
		if (!windows_delta(w, m, now_ms, spans[i].ms, &win[n]))
			continue;
		windows_load(w, m, &win[n], &load[n]);
		view[n] = (struct view){spans[i].name, &win[n], &load[n]};
		n++;
	}
	if (f == METRICS_JSON)
		buf_put_str(out, "[");
	for (size_t k = 0; k < COUNT(heads) && n > 0; k++) {
		r.head = &heads[k];
		r.headed = false;
		for (size_t i = 0; i < n; i++)
			put_family[k](&r, &view[i]);
	}
	if (f != METRICS_TEXT)
		buf_put_str(out, f == METRICS_JSON ? "]\n" : "# EOF\n");
	return buf_error(out);
}
