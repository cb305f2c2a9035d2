/*
 * Distributed traces: who asked for this work (W3C Trace Context), and spans,
 * which say how long its steps took, sent to a collector (OTLP over HTTP, JSON).
 */
#ifndef PQC_TELEMETRY_TRACE_H
#define PQC_TELEMETRY_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TRACE_ID_LEN	16
#define SPAN_ID_LEN	8
#define TRACEPARENT_LEN 55

struct trace_ctx {
	uint8_t trace_id[TRACE_ID_LEN];
	uint8_t span_id[SPAN_ID_LEN];
	uint8_t parent_id[SPAN_ID_LEN]; /* zero: a root */
	bool sampled;
};

/*
 * A fresh span: below parent, or with parent NULL the root of a fresh, sampled trace.
 * PQC_ECRYPTO without randomness. out may be parent.
 */
int trace_begin(struct trace_ctx *out, const struct trace_ctx *parent) MUST_CHECK;
/*
 * A traceparent (W3C Trace Context section 3.2), version 00, exactly TRACEPARENT_LEN
 * bytes: remote->span_id is the caller's span. PQC_EPROTO, remote is then untouched.
 */
int trace_parse(const void *p, size_t n, struct trace_ctx *remote) MUST_CHECK;
void trace_format(const struct trace_ctx *t, char out[TRACEPARENT_LEN + 1]);
void trace_id_hex(const struct trace_ctx *t, char out[2 * TRACE_ID_LEN + 1]);
/* Wall clock, nanoseconds since 1970 UTC. */
uint64_t trace_now(void);

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };

#define SPAN_ATTRS    10
#define SPAN_ATTR_MAX 64

struct span_attr {
	const char *key; /* static text */
	enum { ATTR_END, ATTR_STR, ATTR_U64, ATTR_F64, ATTR_ID } type;
	union {
		char s[SPAN_ATTR_MAX]; /* any bytes, up to a NUL or the end of the array */
		uint64_t u;
		double f;
		uint8_t id[32]; /* sent as hex */
	} v;
};
struct trace_span {
	const char *name; /* static text */
	struct trace_ctx ctx;
	enum span_kind kind;
	uint64_t start_ns, end_ns;	   /* of trace_now() */
	const char *error;		   /* static text; NULL: all went well */
	struct span_attr attr[SPAN_ATTRS]; /* ended by ATTR_END unless full */
};

struct tracer;

struct tracer_opts {
	const char *endpoint; /* http(s)://host[:port][/path]; "/v1/traces" is appended */
	const char *service_name;
	const char *ca_file;  /* PEM, for https; NULL: the system's */
	const char *instance; /* service.instance.id; NULL: none */
	unsigned batch_ms;    /* how long a span waits for company; 0: 1 s */
	unsigned timeout_ms;  /* of one request; 0: 10 s */
	size_t queue_max;     /* spans that may wait, about 900 bytes each; 0: 2048 */
};

/*
 * Starts the thread that sends. The options are copied. PQC_ECONFIG for an address or
 * a CA file that cannot be used; that the collector answers is not required.
 */
int tracer_new(struct tracer **out, const struct tracer_opts *o, struct err *e) MUST_CHECK;
/*
 * Queue a copy of s, from any thread. Never waits for the network; when the queue is
 * full, s is dropped and counted. t NULL or s not sampled: nothing.
 */
void tracer_emit(struct tracer *t, const struct trace_span *s);
/* Spans the collector took, and spans that were lost. t NULL: zeros. */
void tracer_counts(const struct tracer *t, uint64_t *exported, uint64_t *dropped);
/*
 * Send what waits, for at most flush_ms, then end the thread; what is left is lost. Nobody may
 * emit any more. NULL is fine.
 */
void tracer_free(struct tracer *t, unsigned flush_ms);

#endif
