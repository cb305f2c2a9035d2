/*
 * What a server answers, which may be anything. Nothing here trusts it: sizes are bounded, texts are made
 * printable, a value of another kind than expected is an error that names it.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "cli/top.h"

const char *const top_resource_names[TOP_RESOURCES] = {"none", "network", "crypto", "disk",
						       "client"};
const char *const top_step_names[TOP_STEPS] = {"key_exchange", "transfer_start", "fsync", "commit"};

void top_clean(const char *s, size_t n, bool ascii, char *out, size_t size)
{
	size_t at = 0;
	uint32_t cp;

	while (n > 0) {
		size_t len = utf8_next(s, n, &cp);
		bool good = len > 0 && !utf8_deceives(cp) && (!ascii || cp < 0x80);
		size_t width = good ? len : 1;

		if (at + width >= size)
			break;
		memcpy(out + at, good ? s : "?", width);
		at += width;
		len = len > 0 ? len : 1;
		s += len;
		n -= len;
	}
	out[at] = '\0';
}

void top_process_init(struct top_process *p)
{
	memset(p, 0, sizeof(*p));
	p->connections = p->free_bytes = p->total_bytes = TOP_UNKNOWN;
	p->slots = p->waiting = p->active_count = TOP_UNKNOWN;
	p->uptime = NAN;
	/* The figures are nothing but doubles. */
	for (size_t i = 0; i < sizeof(p->figures) / sizeof(double); i++)
		((double *)&p->figures)[i] = NAN;
}

/* ---- typed reading; the first error stays ---- */

struct reading {
	char where[64]; /* "/transfers: active[3]" */
	int rc;
	struct err *e;
};

static const char *kind(const json_t *v)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a text",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number",	[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null",
	};

	return v != NULL ? names[json_typeof(v)] : "nothing";
}

static void fail(struct reading *r, const char *key, const char *expected, const json_t *found)
{
	if (r->rc == 0)
		r->rc = err_set(r->e, PQC_EPROTO, "%s: %s: expected %s, found %s", r->where, key,
				expected, kind(found));
}

/* What stands under key; NULL when it is not there, or null. */
static const json_t *get(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v != NULL && !json_is_null(v) ? v : NULL;
}

static void get_number(struct reading *r, const json_t *o, const char *key, double *out)
{
	const json_t *v = get(o, key);

	if (v != NULL && !json_is_number(v))
		fail(r, key, "a number", v);
	else if (v != NULL)
		*out = json_number_value(v);
}

/* Not negative; a fraction is dropped. */
static void get_count(struct reading *r, const json_t *o, const char *key, uint64_t *out)
{
	const json_t *v = get(o, key);
	double d;

	if (v == NULL)
		return;
	if (!json_is_number(v)) {
		fail(r, key, "a number", v);
		return;
	}
	d = json_number_value(v);
	if (!(d >= 0))
		fail(r, key, "a number that is not negative", v);
	else if (json_is_integer(v))
		*out = (uint64_t)json_integer_value(v);
	else
		*out = d < 0x1p63 ? (uint64_t)d : INT64_MAX;
}

static void get_text(struct reading *r, const json_t *o, const char *key, char *out, size_t size)
{
	const json_t *v = get(o, key);

	if (v != NULL && !json_is_string(v))
		fail(r, key, "a text", v);
	else if (v != NULL)
		top_clean(json_string_value(v), json_string_length(v), false, out, size);
}

/* An id or a word of the program's own. */
static void get_word(struct reading *r, const json_t *o, const char *key, char *out, size_t size)
{
	const json_t *v = get(o, key);

	if (v != NULL && !json_is_string(v))
		fail(r, key, "a text", v);
	else if (v != NULL)
		top_clean(json_string_value(v), json_string_length(v), true, out, size);
}

static void get_status(struct reading *r, const json_t *o, enum top_status *out)
{
	const char *s = json_string_value(json_object_get(o, "status"));

	for (int i = TOP_HEALTHY; s != NULL && i <= TOP_UNHEALTHY; i++)
		if (strcmp(s, top_status_name((enum top_status)i)) == 0) {
			*out = (enum top_status)i;
			return;
		}
	fail(r, "status", "'healthy', 'degraded' or 'unhealthy'", json_object_get(o, "status"));
}

/* The array under key, of objects; NULL when it is not there. */
static const json_t *get_rows(struct reading *r, const json_t *o, const char *key, size_t max)
{
	const json_t *a = get(o, key);

	if (a == NULL)
		return NULL;
	if (!json_is_array(a))
		fail(r, key, "an array", a);
	else if (json_array_size(a) > max && r->rc == 0)
		r->rc = err_set(r->e, PQC_EPROTO, "%s: %s: expected at most %zu, found %zu",
				r->where, key, max, json_array_size(a));
	return r->rc == 0 ? a : NULL;
}

/* The i-th row, and from now on errors say that they are in it. */
static const json_t *enter_row(struct reading *r, const json_t *a, const char *what, size_t i)
{
	const json_t *row = json_array_get(a, i);

	if (!json_is_object(row))
		fail(r, what, "objects", row);
	if (r->rc == 0)
		snprintf(r->where, sizeof(r->where), "%s[%zu]", what, i);
	return row;
}

/* *out is the caller's to release. */
static int parse(struct reading *r, const char *path, const void *body, size_t n, json_t **out)
{
	json_error_t why;

	snprintf(r->where, sizeof(r->where), "%s", path);
	if ((*out = json_loadb(body, n, JSON_REJECT_DUPLICATES, &why)) == NULL)
		r->rc = err_set(r->e, PQC_EPROTO, "%s: expected JSON: %s", path, why.text);
	return r->rc;
}

/* ---- /health ---- */

static void read_checks(struct reading *r, const json_t *o, struct top_process *p)
{
	const json_t *a = get_rows(r, o, "checks", TOP_CHECKS_MAX);

	for (size_t i = 0; i < json_array_size(a) && r->rc == 0; i++) {
		const json_t *row = enter_row(r, a, "/health: checks", i);
		struct top_check *c = &p->check[p->checks++];

		get_word(r, row, "name", c->name, sizeof(c->name));
		get_text(r, row, "message", c->message, sizeof(c->message));
		get_status(r, row, &c->status);
	}
}

int top_read_health(const void *body, size_t n, struct top_process *p, struct err *e)
{
	struct reading r = {.e = e};
	json_t *o;

	if (parse(&r, "/health", body, n, &o) != 0)
		return r.rc;
	if (!json_is_object(o))
		fail(&r, "answer", "an object", o);
	else
		get_status(&r, o, &p->status);
	get_text(&r, o, "reason", p->reason, sizeof(p->reason));
	get_word(&r, o, "version", p->version, sizeof(p->version));
	get_word(&r, o, "pqc_algorithm", p->suite, sizeof(p->suite));
	get_word(&r, o, "server_id", p->server_id, sizeof(p->server_id));
	get_count(&r, o, "pid", &p->pid);
	get_number(&r, o, "uptime_seconds", &p->uptime);
	get_count(&r, o, "active_transfers", &p->active_count);
	get_count(&r, o, "queue_length", &p->waiting);
	get_count(&r, o, "open_connections", &p->connections);
	get_count(&r, o, "storage_free_bytes", &p->free_bytes);
	get_count(&r, o, "storage_total_bytes", &p->total_bytes);
	read_checks(&r, o, p);
	json_decref(o);
	return r.rc;
}

/* ---- /performance-metrics ---- */

#define FIGURE(name, key, value, more, of, member)                               \
	{                                                                        \
		name, key, value, more, of, offsetof(struct top_figures, member) \
	}
#define QUANTILES(step, name)                                                                \
	FIGURE("pqc_window_quantile_seconds", "metric", name, "quantile", "0.5", p50[step]), \
		FIGURE("pqc_window_quantile_seconds", "metric", name, "quantile", "0.95",    \
		       p95[step])
#define RESOURCE(resource, name)                                                \
	FIGURE("pqc_busy_ratio", "resource", name, NULL, NULL, busy[resource]), \
		FIGURE("pqc_bottleneck", "resource", name, NULL, NULL, is_bottleneck[resource])

/* Which points are which figures; all of the window of one minute. */
static const struct figure {
	const char *name;
	const char *key, *value; /* a label and what it must be; key NULL: none */
	const char *key2, *value2;
	size_t at;
} figures[] = {
	FIGURE("pqc_window_bytes_per_second", "direction", "received", NULL, NULL, received),
	FIGURE("pqc_window_bytes_per_second", "direction", "sent", NULL, NULL, sent),
	FIGURE("pqc_window_handshakes_per_second", NULL, NULL, NULL, NULL, handshakes),
	FIGURE("pqc_window_transfers_per_second", "result", "done", NULL, NULL, done),
	FIGURE("pqc_window_transfers_per_second", "result", "failed", NULL, NULL, failed),
	FIGURE("pqc_window_transfers_per_second", "result", "interrupted", NULL, NULL, interrupted),
	QUANTILES(TOP_KEY_EXCHANGE, "key_exchange"),
	QUANTILES(TOP_START, "transfer_start"),
	QUANTILES(TOP_FSYNC, "fsync"),
	QUANTILES(TOP_COMMIT, "commit"),
	RESOURCE(TOP_NOTHING, "none"),
	RESOURCE(TOP_NETWORK, "network"),
	RESOURCE(TOP_CRYPTO, "crypto"),
	RESOURCE(TOP_DISK, "disk"),
	RESOURCE(TOP_CLIENT, "client"),
};

static bool is_label(const json_t *labels, const char *key, const char *value)
{
	const char *found = key != NULL ? json_string_value(json_object_get(labels, key)) : NULL;

	return key == NULL || (found != NULL && strcmp(found, value) == 0);
}

static void take_point(const char *name, const json_t *labels, double value, struct top_figures *to)
{
	if (!is_label(labels, "window", "1m"))
		return;
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		const struct figure *f = &figures[i];

		if (strcmp(f->name, name) == 0 && is_label(labels, f->key, f->value) &&
		    is_label(labels, f->key2, f->value2))
			*(double *)((char *)to + f->at) = value;
	}
}

int top_read_figures(const void *body, size_t n, struct top_process *p, struct err *e)
{
	struct reading r = {.e = e};
	json_t *a;

	if (parse(&r, "/performance-metrics", body, n, &a) != 0)
		return r.rc;
	if (!json_is_array(a))
		fail(&r, "answer", "an array", a);
	for (size_t i = 0; i < json_array_size(a) && r.rc == 0; i++) {
		const json_t *point = enter_row(&r, a, "/performance-metrics: point", i);
		char name[TOP_TEXT] = "";
		double value = NAN;

		get_word(&r, point, "name", name, sizeof(name));
		get_number(&r, point, "value", &value);
		if (get(point, "labels") != NULL && !json_is_object(get(point, "labels")))
			fail(&r, "labels", "an object", get(point, "labels"));
		if (r.rc == 0)
			take_point(name, get(point, "labels"), value, &p->figures);
	}
	p->has_figures = r.rc == 0;
	json_decref(a);
	return r.rc;
}

/* ---- /transfers ---- */

static void read_transfer(struct reading *r, const json_t *o, struct top_transfer *t)
{
	double mbps = NAN;

	t->size = TOP_UNKNOWN;
	t->seconds = NAN;
	get_word(r, o, "trace_id", t->trace, sizeof(t->trace));
	get_word(r, o, "client_id", t->client, sizeof(t->client));
	get_word(r, o, "direction", t->direction, sizeof(t->direction));
	get_word(r, o, "state", t->state, sizeof(t->state));
	get_text(r, o, "name", t->name, sizeof(t->name));
	get_count(r, o, "file_size", &t->size);
	get_count(r, o, "bytes_transferred", &t->done);
	get_count(r, o, "resumed_bytes", &t->resumed);
	get_number(r, o, "duration_seconds", &t->seconds);
	get_number(r, o, "throughput_mbps", &mbps);
	t->rate = mbps > 0 ? mbps * 1e6 : 0;
}

static void read_waiting(struct reading *r, const json_t *o, struct top_waiting *w)
{
	w->waited = w->estimate = NAN;
	get_word(r, o, "trace_id", w->trace, sizeof(w->trace));
	get_word(r, o, "client_id", w->client, sizeof(w->client));
	get_word(r, o, "direction", w->direction, sizeof(w->direction));
	get_count(r, o, "position", &w->place);
	get_number(r, o, "waited_seconds", &w->waited);
	get_number(r, o, "estimate_seconds", &w->estimate);
}

static void read_active(struct reading *r, const json_t *o, struct top_process *p)
{
	const json_t *a = get_rows(r, o, "active", TOP_ROWS_MAX);
	size_t n = json_array_size(a);

	if (n == 0)
		return;
	if ((p->active = calloc(n, sizeof(*p->active))) == NULL) {
		r->rc = err_set(r->e, PQC_ENOMEM, "out of memory");
		return;
	}
	for (size_t i = 0; i < n && r->rc == 0; i++) {
		p->active[i].pid = p->pid;
		read_transfer(r, enter_row(r, a, "/transfers: active", i), &p->active[i]);
	}
	p->actives = n;
}

static void read_queue(struct reading *r, const json_t *o, struct top_process *p)
{
	const json_t *a = get_rows(r, o, "queue", TOP_ROWS_MAX);
	size_t n = json_array_size(a);

	if (n == 0)
		return;
	if ((p->queue = calloc(n, sizeof(*p->queue))) == NULL) {
		r->rc = err_set(r->e, PQC_ENOMEM, "out of memory");
		return;
	}
	for (size_t i = 0; i < n && r->rc == 0; i++) {
		p->queue[i].pid = p->pid;
		read_waiting(r, enter_row(r, a, "/transfers: queue", i), &p->queue[i]);
	}
	p->queued = n;
}

int top_read_transfers(const void *body, size_t n, struct top_process *p, struct err *e)
{
	struct reading r = {.e = e};
	json_t *o;

	if (parse(&r, "/transfers", body, n, &o) != 0)
		return r.rc;
	if (!json_is_object(o))
		fail(&r, "answer", "an object", o);
	get_count(&r, o, "slots", &p->slots);
	read_active(&r, o, p);
	snprintf(r.where, sizeof(r.where), "/transfers");
	read_queue(&r, o, p);
	p->has_transfers = r.rc == 0;
	json_decref(o);
	return r.rc;
}
