#include "telemetry/otlp.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/text.h"

#define STATUS_ERROR 2 /* Status.StatusCode */

static void put_text(struct buf *b, const char *s)
{
	json_put_string(b, s, strlen(s));
}

static void put_hex(struct buf *b, const uint8_t *p, size_t n)
{
	char hex[2 * 32 + 1];

	hex_encode(p, n, hex);
	buf_printf(b, "\"%s\"", hex);
}

/* The words that the JSON form of protobuf has for what JSON cannot say. */
static void put_double(struct buf *b, double f)
{
	if (isnan(f))
		buf_put_str(b, "\"NaN\"");
	else if (isinf(f))
		buf_put_str(b, f < 0 ? "\"-Infinity\"" : "\"Infinity\"");
	else
		put_real(b, f, 17);
}

static void put_attr(struct buf *b, const struct span_attr *a)
{
	/* AnyValue has signed integers only. */
	uint64_t u = a->type == ATTR_U64 && a->v.u < INT64_MAX ? a->v.u : INT64_MAX;

	buf_put_str(b, "{\"key\":");
	put_text(b, a->key);
	buf_put_str(b, ",\"value\":{");
	switch (a->type) {
	case ATTR_U64:
		buf_printf(b, "\"intValue\":\"%llu\"", (unsigned long long)u);
		break;
	case ATTR_F64:
		buf_put_str(b, "\"doubleValue\":");
		put_double(b, a->v.f);
		break;
	case ATTR_ID:
		buf_put_str(b, "\"stringValue\":");
		put_hex(b, a->v.id, sizeof(a->v.id));
		break;
	case ATTR_STR:
	case ATTR_END: /* not asked for */
		buf_put_str(b, "\"stringValue\":");
		json_put_string(b, a->v.s, strnlen(a->v.s, sizeof(a->v.s)));
		break;
	}
	buf_put_str(b, "}}");
}

static void put_resource_attr(struct buf *b, const char *key, const char *value, bool first)
{
	buf_printf(b, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":", first ? "" : ",", key);
	put_text(b, value);
	buf_put_str(b, "}}");
}

void otlp_begin(struct buf *b, const char *service_name, const char *instance)
{
	buf_put_str(b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	put_resource_attr(b, "service.name", service_name, true);
	put_resource_attr(b, "service.version", PQC_VERSION, false);
	if (instance)
		put_resource_attr(b, "service.instance.id", instance, false);
	buf_put_str(b, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"pqc\",\"version\":\"" PQC_VERSION
		       "\"},\"spans\":[");
}

void otlp_span(struct buf *b, const struct trace_span *s, bool first)
{
	static const uint8_t none[SPAN_ID_LEN];

	buf_put_str(b, first ? "{\"traceId\":" : ",{\"traceId\":");
	put_hex(b, s->ctx.trace_id, sizeof(s->ctx.trace_id));
	buf_put_str(b, ",\"spanId\":");
	put_hex(b, s->ctx.span_id, sizeof(s->ctx.span_id));
	if (memcmp(s->ctx.parent_id, none, sizeof(none)) != 0) {
		buf_put_str(b, ",\"parentSpanId\":");
		put_hex(b, s->ctx.parent_id, sizeof(s->ctx.parent_id));
	}
	buf_put_str(b, ",\"name\":");
	put_text(b, s->name);
	buf_printf(b,
		   ",\"kind\":%d,\"startTimeUnixNano\":\"%llu\",\"endTimeUnixNano\":\"%llu\","
		   "\"attributes\":[",
		   (int)s->kind, (unsigned long long)s->start_ns, (unsigned long long)s->end_ns);
	for (size_t i = 0; i < SPAN_ATTRS && s->attr[i].type != ATTR_END; i++) {
		if (i > 0)
			buf_put_u8(b, ',');
		put_attr(b, &s->attr[i]);
	}
	buf_put_u8(b, ']');
	if (s->error) {
		buf_printf(b, ",\"status\":{\"code\":%d,\"message\":", STATUS_ERROR);
		put_text(b, s->error);
		buf_put_u8(b, '}');
	}
	buf_put_u8(b, '}');
}

void otlp_end(struct buf *b)
{
	buf_put_str(b, "]}]}]}");
}

uint64_t otlp_rejected(const void *answer, size_t n)
{
	json_t *root = json_loadb(answer, n, 0, NULL);
	const json_t *count =
		json_object_get(json_object_get(root, "partialSuccess"), "rejectedSpans");
	uint64_t rejected = 0;

	/* An int64 is a string in protobuf's JSON, but readers must take a number as well. */
	if (json_is_integer(count) && json_integer_value(count) > 0)
		rejected = (uint64_t)json_integer_value(count);
	else if (json_is_string(count) &&
		 parse_u64(json_string_value(count), 0, INT64_MAX, &rejected) != 0)
		rejected = 0;
	json_decref(root);
	return rejected;
}
