#include "telemetry/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/text.h"

#define FLAG_SAMPLED 0x01 /* W3C Trace Context section 3.2.2.5 */

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* An id of zeros would mean that there is none. */
static int random_id(uint8_t *p, size_t n)
{
	do {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			memset(p, 0, n);
		else if (got != (ssize_t)n)
			return PQC_ECRYPTO;
	} while (all_zero(p, n));
	return 0;
}

int trace_begin(struct trace_ctx *out, const struct trace_ctx *parent)
{
	struct trace_ctx t = {.sampled = true};
	int r;

	if (parent) {
		memcpy(t.trace_id, parent->trace_id, sizeof(t.trace_id));
		memcpy(t.parent_id, parent->span_id, sizeof(t.parent_id));
		t.sampled = parent->sampled;
	} else if ((r = random_id(t.trace_id, sizeof(t.trace_id))) != 0) {
		return r;
	}
	if ((r = random_id(t.span_id, sizeof(t.span_id))) != 0)
		return r;
	*out = t;
	return 0;
}

/* 2n digits at *s, then the byte end; moves *s behind it. hex_decode alone would take capitals. */
static bool take_hex(const char **s, uint8_t *out, size_t n, char end)
{
	char text[2 * TRACE_ID_LEN + 1];

	memcpy(text, *s, 2 * n);
	text[2 * n] = '\0';
	if (strspn(text, "0123456789abcdef") != 2 * n || (*s)[2 * n] != end ||
	    hex_decode(text, out, n) != 0)
		return false;
	*s += 2 * n + 1;
	return true;
}

int trace_parse(const void *p, size_t n, struct trace_ctx *remote)
{
	char text[TRACEPARENT_LEN + 1];
	const char *s = text;
	struct trace_ctx t = {0};
	uint8_t version, flags;

	if (n != TRACEPARENT_LEN)
		return PQC_EPROTO;
	memcpy(text, p, n);
	text[n] = '\0';
	if (!take_hex(&s, &version, 1, '-') || version != 0 ||
	    !take_hex(&s, t.trace_id, sizeof(t.trace_id), '-') ||
	    !take_hex(&s, t.span_id, sizeof(t.span_id), '-') || !take_hex(&s, &flags, 1, '\0'))
		return PQC_EPROTO;
	if (all_zero(t.trace_id, sizeof(t.trace_id)) || all_zero(t.span_id, sizeof(t.span_id)))
		return PQC_EPROTO;
	t.sampled = flags & FLAG_SAMPLED;
	*remote = t;
	return 0;
}

void trace_format(const struct trace_ctx *t, char out[TRACEPARENT_LEN + 1])
{
	char trace[2 * TRACE_ID_LEN + 1], span[2 * SPAN_ID_LEN + 1];

	hex_encode(t->trace_id, sizeof(t->trace_id), trace);
	hex_encode(t->span_id, sizeof(t->span_id), span);
	snprintf(out, TRACEPARENT_LEN + 1, "00-%s-%s-%02x", trace, span,
		 t->sampled ? FLAG_SAMPLED : 0);
}

void trace_id_hex(const struct trace_ctx *t, char out[2 * TRACE_ID_LEN + 1])
{
	hex_encode(t->trace_id, sizeof(t->trace_id), out);
}

uint64_t trace_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
