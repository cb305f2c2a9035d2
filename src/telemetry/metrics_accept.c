/* Which of our formats an Accept header asks for (RFC 9110 section 12.5.1). */
#include <strings.h>

#include "telemetry/windows.h"

#define Q_ONE 1000

/* A piece of the header, without the blanks around it. */
struct piece {
	const char *p;
	size_t n;
};

static const char *const content_types[] = {
	[METRICS_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
	[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	[METRICS_JSON] = "application/json",
};

/* Take what stands before the next separator off the front of *rest; false at the end. */
static bool take(struct piece *rest, char separator, struct piece *out)
{
	const char *end;

	if (rest->p == NULL)
		return false;
	end = memchr(rest->p, separator, rest->n);
	*out = (struct piece){rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n};
	if (end != NULL)
		*rest = (struct piece){end + 1, rest->n - out->n - 1};
	else
		rest->p = NULL;
	while (out->n > 0 && (out->p[0] == ' ' || out->p[0] == '\t'))
		out->p++, out->n--;
	while (out->n > 0 && (out->p[out->n - 1] == ' ' || out->p[out->n - 1] == '\t'))
		out->n--;
	return true;
}

static bool is(struct piece t, const char *text)
{
	return t.n == strlen(text) && strncasecmp(t.p, text, t.n) == 0;
}

/* "0.25" as 250; -1 for what is no quality. */
static int quality(struct piece t)
{
	int q = 0, unit = Q_ONE;

	if (t.n == 0 || t.n > 5 || (t.p[0] != '0' && t.p[0] != '1') || (t.n > 1 && t.p[1] != '.'))
		return -1;
	for (size_t i = 0; i < t.n; i++) {
		if (i == 1)
			continue;
		if (t.p[i] < '0' || t.p[i] > '9')
			return -1;
		q += (t.p[i] - '0') * unit;
		unit /= 10;
	}
	return q <= Q_ONE ? q : -1;
}

/* The quality of one range, and whether its version is one that we write; -1: pass over it. */
static int read_range(struct piece range, struct piece *type, bool *version)
{
	struct piece param, value;
	int q = Q_ONE;

	*version = true;
	if (!take(&range, ';', type))
		return -1;
	while (take(&range, ';', &param)) {
		value = param;
		take(&value, '=', &param);
		if (value.p == NULL)
			continue;
		if (is(param, "q")) {
			if ((q = quality(value)) < 0)
				return -1;
		} else if (is(param, "version")) {
			*version = is(value, "1.0.0") || is(value, "0.0.1");
		}
	}
	return q;
}

/* The best quality each format is asked for with, -1: not at all. */
static void read_accept(const char *accept, int q[3])
{
	struct piece rest = {accept, strlen(accept)}, range, type = {0};
	bool version;
	int v, any = -1;

	q[METRICS_TEXT] = q[METRICS_OPENMETRICS] = q[METRICS_JSON] = -1;
	while (take(&rest, ',', &range)) {
		int *best = &any;

		v = read_range(range, &type, &version);
		if (is(type, "application/openmetrics-text"))
			best = version ? &q[METRICS_OPENMETRICS] : NULL;
		else if (is(type, "application/json"))
			best = &q[METRICS_JSON];
		else if (is(type, "text/plain"))
			best = &q[METRICS_TEXT];
		else if (!is(type, "text/*") && !is(type, "*/*"))
			best = NULL;
		if (best != NULL && v > *best)
			*best = v;
	}
	if (q[METRICS_TEXT] < 0)
		q[METRICS_TEXT] = any;
}

static enum metrics_format choose(const char *accept, bool json, const char **content_type)
{
	enum metrics_format f = METRICS_TEXT;
	int q[3];

	read_accept(accept != NULL ? accept : "", q);
	if (json && q[METRICS_JSON] > 0 && q[METRICS_JSON] >= q[METRICS_TEXT])
		f = METRICS_JSON;
	if (q[METRICS_OPENMETRICS] > 0 && q[METRICS_OPENMETRICS] >= q[f])
		f = METRICS_OPENMETRICS;
	*content_type = content_types[f];
	return f;
}

enum metrics_format metrics_negotiate(const char *accept, const char **content_type)
{
	return choose(accept, false, content_type);
}

enum metrics_format windows_negotiate(const char *accept, const char **content_type)
{
	return choose(accept, true, content_type);
}
