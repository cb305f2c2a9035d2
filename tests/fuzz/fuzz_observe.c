/*
 * What peers and environments hand to the telemetry: a traceparent that is accepted is exactly what is
 * written out again; an Accept header gets one of the formats there are; a span's hostile text becomes JSON
 * that a strict parser reads.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/otlp.h"
#include "telemetry/trace.h"
#include "telemetry/windows.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void try_traceparent(const uint8_t *p, size_t n)
{
	char text[TRACEPARENT_LEN + 1];
	struct trace_ctx t;

	if (trace_parse(p, n, &t) != 0)
		return;
	trace_format(&t, text);
	/* of the flags only the one that is known is kept */
	require(n == TRACEPARENT_LEN && memcmp(text, p, TRACEPARENT_LEN - 2) == 0);
}

static void try_accept(const char *s)
{
	const char *type = NULL;

	require(metrics_negotiate(s, &type) <= METRICS_OPENMETRICS && type != NULL);
	require(windows_negotiate(s, &type) <= METRICS_JSON && type != NULL);
}

static void try_span(const uint8_t *p, size_t n)
{
	struct trace_span s = {.name = "put", .kind = SPAN_SERVER, .start_ns = 1, .end_ns = 2};
	struct buf out = BUF_INIT(1 << 20);
	json_t *root;

	s.attr[0].key = "text";
	s.attr[0].type = ATTR_STR;
	memcpy(s.attr[0].v.s, p, n < SPAN_ATTR_MAX ? n : SPAN_ATTR_MAX);
	otlp_begin(&out, "fuzz", "1");
	otlp_span(&out, &s, true);
	otlp_end(&out);
	require(buf_error(&out) == 0);
	root = json_loadb((const char *)out.p, out.len, JSON_REJECT_DUPLICATES, NULL);
	require(root != NULL);
	json_decref(root);
	buf_free(&out);
	(void)otlp_rejected(p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *s = malloc(n + 1);

	require(s);
	memcpy(s, p, n);
	s[n] = '\0';
	try_traceparent(p, n);
	try_accept(s);
	try_span(p, n);
	free(s);
	return 0;
}
