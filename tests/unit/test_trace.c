/* trace.h: identifiers, traceparent, and the queue in front of the collector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "telemetry/trace.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void contexts_nest(void **state)
{
	struct trace_ctx root, child, other;
	static const uint8_t zero[SPAN_ID_LEN];

	(void)state;
	assert_int_equal(trace_begin(&root, NULL), 0);
	assert_true(root.sampled);
	assert_memory_equal(root.parent_id, zero, sizeof(zero));
	assert_int_equal(trace_begin(&child, &root), 0);
	assert_memory_equal(child.trace_id, root.trace_id, TRACE_ID_LEN);
	assert_memory_equal(child.parent_id, root.span_id, SPAN_ID_LEN);
	assert_memory_not_equal(child.span_id, root.span_id, SPAN_ID_LEN);
	assert_int_equal(trace_begin(&other, NULL), 0);
	assert_memory_not_equal(other.trace_id, root.trace_id, TRACE_ID_LEN);
	root.sampled = false;
	assert_int_equal(trace_begin(&root, &root), 0);
	assert_false(root.sampled);
	assert_memory_equal(root.trace_id, child.trace_id, TRACE_ID_LEN);
}

static void a_traceparent_is_read_and_written(void **state)
{
	char text[TRACEPARENT_LEN + 1], id[33];
	struct trace_ctx t;

	(void)state;
	assert_int_equal(trace_parse(PARENT, TRACEPARENT_LEN, &t), 0);
	assert_true(t.sampled);
	trace_format(&t, text);
	assert_string_equal(text, PARENT);
	trace_id_hex(&t, id);
	assert_string_equal(id, "0af7651916cd43dd8448eb211c80319c");
	memcpy(text, PARENT, sizeof(text));
	/* flags that are not known yet say nothing, but are no error */
	memcpy(text + 53, "fe", 2);
	assert_int_equal(trace_parse(text, TRACEPARENT_LEN, &t), 0);
	assert_false(t.sampled);
	trace_format(&t, text);
	assert_string_equal(text + 53, "00");
}

static void wrong_traceparents_are_refused(void **state)
{
	static const char *const bads[] = {
		"",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331- 1",
	};
	struct trace_ctx t, before;
	char whole[] = PARENT;

	(void)state;
	memset(&t, 0x5a, sizeof(t));
	before = t;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		if (trace_parse(bads[i], strlen(bads[i]), &t) != PQC_EPROTO)
			fail_msg("taken: %s", bads[i]);
	/* no byte may be a NUL, and none a blank */
	for (size_t i = 0; i < TRACEPARENT_LEN; i++) {
		char was = whole[i];

		whole[i] = '\0';
		assert_int_equal(trace_parse(whole, TRACEPARENT_LEN, &t), PQC_EPROTO);
		whole[i] = ' ';
		assert_int_equal(trace_parse(whole, TRACEPARENT_LEN, &t), PQC_EPROTO);
		whole[i] = was;
	}
	assert_memory_equal(&t, &before, sizeof(t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_nest),
		cmocka_unit_test(a_traceparent_is_read_and_written),
		cmocka_unit_test(wrong_traceparents_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
