/* otlp.h: what is written is JSON, says what the span says, and survives hostile strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "telemetry/otlp.h"

static struct trace_span a_span(void)
{
	struct trace_span s = {.name = "put", .kind = SPAN_SERVER, .start_ns = 1, .end_ns = 2};

	memset(s.ctx.trace_id, 0xab, sizeof(s.ctx.trace_id));
	memset(s.ctx.span_id, 0xcd, sizeof(s.ctx.span_id));
	return s;
}

/* The spans of the request of n spans, after it was parsed strictly; *root is the caller's. */
static json_t *parse(const struct trace_span *s, size_t n, json_t **root)
{
	struct buf b = BUF_INIT((n + 1) * OTLP_SPAN_MAX);
	json_t *scope;
	json_error_t e;

	otlp_begin(&b, "pqc \"server\"", "id");
	for (size_t i = 0; i < n; i++)
		otlp_span(&b, &s[i], i == 0);
	otlp_end(&b);
	assert_int_equal(buf_error(&b), 0);
	assert_true(utf8_valid((const char *)b.p, b.len));
	*root = json_loadb((const char *)b.p, b.len, JSON_REJECT_DUPLICATES, &e);
	if (!*root)
		fail_msg("%s at %d: %.*s", e.text, e.position, (int)b.len, (const char *)b.p);
	buf_free(&b);
	scope = json_array_get(
		json_object_get(json_array_get(json_object_get(*root, "resourceSpans"), 0),
				"scopeSpans"),
		0);
	assert_non_null(scope);
	return json_object_get(scope, "spans");
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "(none)";
}

/* The value object of attribute i of span. */
static json_t *attr(const json_t *span, size_t i)
{
	return json_object_get(json_array_get(json_object_get(span, "attributes"), i), "value");
}

static void a_span_is_written_whole(void **state)
{
	struct trace_span s[2] = {a_span(), a_span()};
	json_t *root, *spans, *one;

	(void)state;
	s[0].start_ns = UINT64_MAX - 1;
	s[0].end_ns = UINT64_MAX;
	s[0].error = "a \"bad\" end\n";
	memset(s[0].ctx.parent_id, 0x01, SPAN_ID_LEN);
	s[0].attr[0] = (struct span_attr){"pqc.parts", ATTR_U64, {.u = 7}};
	s[0].attr[1] = (struct span_attr){"pqc.huge", ATTR_U64, {.u = UINT64_MAX}};
	s[0].attr[2] = (struct span_attr){"pqc.busy_seconds", ATTR_F64, {.f = 0.1}};
	s[0].attr[3] = (struct span_attr){"a", ATTR_F64, {.f = NAN}};
	s[0].attr[4] = (struct span_attr){"b", ATTR_F64, {.f = -INFINITY}};
	s[0].attr[5] = (struct span_attr){"c", ATTR_F64, {.f = INFINITY}};
	s[0].attr[6] = (struct span_attr){"pqc.client_id", ATTR_ID, {.id = {1, 2}}};
	spans = parse(s, 2, &root);
	assert_int_equal(json_array_size(spans), 2);
	one = json_array_get(spans, 0);
	assert_string_equal(text(one, "traceId"), "abababababababababababababababab");
	assert_string_equal(text(one, "spanId"), "cdcdcdcdcdcdcdcd");
	assert_string_equal(text(one, "parentSpanId"), "0101010101010101");
	assert_string_equal(text(one, "name"), "put");
	assert_int_equal(json_integer_value(json_object_get(one, "kind")), 2);
	assert_string_equal(text(one, "startTimeUnixNano"), "18446744073709551614");
	assert_string_equal(text(one, "endTimeUnixNano"), "18446744073709551615");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(one, "status"), "code")), 2);
	assert_string_equal(text(json_object_get(one, "status"), "message"), "a \"bad\" end\n");
	assert_int_equal(json_array_size(json_object_get(one, "attributes")), 7);
	assert_string_equal(text(attr(one, 0), "intValue"), "7");
	assert_string_equal(text(attr(one, 1), "intValue"), "9223372036854775807");
	assert_true(json_real_value(json_object_get(attr(one, 2), "doubleValue")) == 0.1);
	assert_string_equal(text(attr(one, 3), "doubleValue"), "NaN");
	assert_string_equal(text(attr(one, 4), "doubleValue"), "-Infinity");
	assert_string_equal(text(attr(one, 5), "doubleValue"), "Infinity");
	assert_string_equal(text(attr(one, 6), "stringValue"),
			    "0102000000000000000000000000000000000000000000000000000000000000");
	/* a root without an error */
	one = json_array_get(spans, 1);
	assert_null(json_object_get(one, "parentSpanId"));
	assert_null(json_object_get(one, "status"));
	json_decref(root);
}

static void strings_cannot_break_out(void **state)
{
	static const struct {
		const char *in, *out;
	} strings[] = {
		{"\"}]}", "\"}]}"},
		{"\\\x01\x1f\x7f\n\t", "\\\x01\x1f\x7f\n\t"},
		{"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},		  /* an overlong NUL */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
		{"\xe2\x80\xae", "\xe2\x80\xae"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"", ""},
	};
	struct trace_span s = a_span();
	json_t *root, *spans;

	(void)state;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		s.attr[0] = (struct span_attr){.key = "k", .type = ATTR_STR};
		strcpy(s.attr[0].v.s, strings[i].in);
		spans = parse(&s, 1, &root);
		assert_string_equal(text(attr(json_array_get(spans, 0), 0), "stringValue"),
				    strings[i].out);
		json_decref(root);
	}
}

static void the_largest_span_has_room(void **state)
{
	struct trace_span s = a_span();
	char name[65];
	struct buf b = BUF_INIT(OTLP_SPAN_MAX);
	json_t *root, *spans, *value;

	(void)state;
	memset(name, '"', 64);
	name[64] = '\0';
	s.name = s.error = name;
	for (size_t i = 0; i < SPAN_ATTRS; i++) {
		s.attr[i] = (struct span_attr){.key = name, .type = ATTR_STR};
		memset(s.attr[i].v.s, 0x01, SPAN_ATTR_MAX); /* each of them is six bytes */
	}
	otlp_span(&b, &s, false);
	assert_int_equal(buf_error(&b), 0);
	buf_free(&b);
	spans = parse(&s, 1, &root);
	value = json_object_get(attr(json_array_get(spans, 0), SPAN_ATTRS - 1), "stringValue");
	assert_int_equal(json_string_length(value), SPAN_ATTR_MAX);
	json_decref(root);
}

static void rejections_are_counted(void **state)
{
	static const struct {
		const char *answer;
		uint64_t want;
	} answers[] = {
		{"", 0},
		{"{}", 0},
		{"{\"partialSuccess\":{}}", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":\"12\",\"errorMessage\":\"x\"}}", 12},
		{"{\"partialSuccess\":{\"rejectedSpans\":3}}", 3},
		{"{\"partialSuccess\":{\"rejectedSpans\":-3}}", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":\"-3\"}}", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":[]}}", 0},
		{"{\"partialSuccess\":[1]}", 0},
		{"[1]", 0},
		{"<html>", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":3", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		assert_int_equal(otlp_rejected(answers[i].answer, strlen(answers[i].answer)),
				 answers[i].want);
	assert_int_equal(otlp_rejected(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_is_written_whole),
		cmocka_unit_test(strings_cannot_break_out),
		cmocka_unit_test(the_largest_span_has_room),
		cmocka_unit_test(rejections_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
