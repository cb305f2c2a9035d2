/* trace.h: identifiers, traceparent, and spans on their way to collectors of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_peer.h"
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

/* ---- on the way to a collector ---- */

#define LONG 20000 /* ms: no test waits for that */

#define TAKEN "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static struct tracer *a_tracer(const char *endpoint, unsigned batch_ms, size_t queue_max)
{
	struct tracer *t = NULL;
	struct tracer_opts o = {.endpoint = endpoint,
				.service_name = "pqc-test",
				.instance = "one",
				.batch_ms = batch_ms,
				.queue_max = queue_max};
	struct err e;

	if (tracer_new(&t, &o, &e) != 0)
		fail_msg("%s", e.msg);
	return t;
}

static struct trace_span a_span(uint64_t number)
{
	struct trace_span s = {.name = "put", .kind = SPAN_SERVER, .start_ns = 1, .end_ns = 2};

	assert_int_equal(trace_begin(&s.ctx, NULL), 0);
	s.attr[0] = (struct span_attr){"number", ATTR_U64, {.u = number}};
	return s;
}

static void emit(struct tracer *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct trace_span s = a_span(i);

		tracer_emit(t, &s);
	}
}

static unsigned times(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

static void assert_counts(struct tracer *t, uint64_t exported, uint64_t dropped)
{
	uint64_t e, d, until = clock_ms() + LONG;

	/* The collector knows of its answer before the tracer does. */
	do
		tracer_counts(t, &e, &d);
	while (e + d < exported + dropped && clock_ms() < until && poll(NULL, 0, 1) == 0);
	assert_int_equal(e, exported);
	assert_int_equal(d, dropped);
}

static void spans_reach_the_collector(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = TAKEN};
	struct trace_span unsampled = a_span(0);
	struct tracer *t;
	char base[128];

	(void)state;
	peer_start(&p);
	snprintf(base, sizeof(base), "%s/base/", p.url);
	t = a_tracer(base, 20, 0);
	unsampled.ctx.sampled = false;
	tracer_emit(t, &unsampled);
	tracer_emit(NULL, &unsampled);
	emit(t, 3);
	assert_true(peer_await(&p, 1, LONG));
	assert_counts(t, 3, 0);
	assert_int_equal(strncmp(p.request, "POST /base/v1/traces HTTP/1.1\r\n", 31), 0);
	assert_non_null(strstr(p.request, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(
		strstr(p.request, "\"service.instance.id\",\"value\":{\"stringValue\":\"one\""));
	assert_int_equal(times(p.request, "\"traceId\""), 3);
	assert_non_null(strstr(p.request, "\"intValue\":\"2\""));
	tracer_free(t, 0);
	tracer_free(NULL, 0);
	peer_stop(&p);
}

static void batches_are_bounded_and_flushed(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = TAKEN};
	struct tracer *t;

	(void)state;
	peer_start(&p);
	t = a_tracer(p.url, LONG, 0);
	emit(t, 512);
	/* it does not wait for the time when it has enough */
	assert_true(peer_await(&p, 1, LONG / 2));
	assert_int_equal(times(p.request, "\"traceId\""), 512);
	assert_counts(t, 512, 0);
	emit(t, 700);
	tracer_free(t, LONG);
	assert_int_equal(p.requests, 3);
	assert_int_equal(times(p.request, "\"traceId\""), 188);
	peer_stop(&p);
}

static void refuse_once(struct peer *p, int fd)
{
	if (peer_listen(p, fd))
		peer_say(fd, p->served == 0 ? p->reply : TAKEN,
			 strlen(p->served == 0 ? p->reply : TAKEN));
}

static void what_may_pass_is_tried_again(void **state)
{
	static const struct {
		const char *first;
		bool again;
	} answers[] = {
		{"HTTP/1.1 503 x\r\n\r\n", true},
		{"HTTP/1.1 429 x\r\nRetry-After: 1\r\n\r\n", true},
		{"", true}, /* closed */
		{"HTTP/1.1 400 x\r\n\r\n", false},
		{"HTTP/1.1 500 x\r\n\r\n", false},
		{"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n", false},
		{"garbage", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct peer p = {.serve = refuse_once, .reply = answers[i].first};
		struct tracer *t;

		peer_start(&p);
		t = a_tracer(p.url, 1, 0);
		emit(t, 1);
		assert_true(peer_await(&p, answers[i].again ? 2 : 1, LONG));
		assert_counts(t, answers[i].again, !answers[i].again);
		tracer_free(t, LONG);
		assert_int_equal(p.requests, answers[i].again ? 2 : 1);
		peer_stop(&p);
	}
}

static void rejected_spans_count_as_dropped(void **state)
{
	struct peer p = {
		.serve = peer_answer,
		.reply = "HTTP/1.1 200 OK\r\n\r\n{\"partialSuccess\":{\"rejectedSpans\":\"2\"}}"};
	struct tracer *t;

	(void)state;
	peer_start(&p);
	t = a_tracer(p.url, 10, 0);
	emit(t, 3);
	assert_true(peer_await(&p, 1, LONG));
	assert_counts(t, 1, 2);
	tracer_free(t, LONG);
	peer_stop(&p);
}

static void hang(struct peer *p, int fd)
{
	if (peer_listen(p, fd))
		peer_hang(p, fd);
}

/* Down, hanging, slow: the queue fills, the rest is dropped, and the end comes in time. */
static void a_bad_collector_is_nobodys_trouble(void **state)
{
	(void)state;
	for (int up = 0; up < 2; up++) {
		struct peer p = {.serve = hang};
		uint64_t exported, dropped, start;
		struct tracer *t;
		char url[128];

		peer_start(&p);
		snprintf(url, sizeof(url), "%s", p.url);
		if (!up)
			peer_stop(&p);
		t = a_tracer(url, 1, 100);
		if (up) {
			emit(t, 1);
			assert_true(peer_await(&p, 1, LONG));
		}
		emit(t, 1000);
		tracer_counts(t, &exported, &dropped);
		assert_int_equal(exported, 0);
		/* a batch is under way, one waits */
		assert_in_range(dropped, 800, 900);
		start = clock_ms();
		tracer_free(t, 100);
		assert_in_range(clock_ms() - start, 0, 1000);
		if (up)
			peer_stop(&p);
	}
}

static void a_wrong_endpoint_is_said_at_once(void **state)
{
	static const char *const bads[] = {
		"", "collector:4318", "ftp://h", "http://u:p@h/", "http://h/?a=b", "http://h/#x"};
	struct tracer_opts o = {.service_name = "x"};
	struct tracer *t = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		o.endpoint = bads[i];
		assert_int_equal(tracer_new(&t, &o, &e), PQC_ECONFIG);
		assert_int_equal(e.code, PQC_ECONFIG);
		assert_null(t);
	}
	o.endpoint = "https://h";
	o.ca_file = "/does/not/exist";
	assert_int_equal(tracer_new(&t, &o, &e), PQC_ECONFIG);
	assert_non_null(strstr(e.msg, o.ca_file));
}

#define THREADS 4
#define EACH	5000

static void *emit_many(void *arg)
{
	emit(arg, EACH);
	return NULL;
}

/* Nothing is counted twice or forgotten, whatever the threads do. */
static void threads_share_a_tracer(void **state)
{
	struct peer p = {.serve = peer_answer, .reply = TAKEN};
	pthread_t thread[THREADS];
	struct tracer *t;

	(void)state;
	peer_start(&p);
	t = a_tracer(p.url, 1, 300);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, emit_many, t), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (uint64_t e = 0, d = 0, until = clock_ms() + LONG; e + d < THREADS * EACH;
	     poll(NULL, 0, 1)) {
		assert_true(clock_ms() < until);
		tracer_counts(t, &e, &d);
		assert_true(e + d <= THREADS * EACH);
	}
	tracer_free(t, LONG);
	peer_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_nest),
		cmocka_unit_test(a_traceparent_is_read_and_written),
		cmocka_unit_test(wrong_traceparents_are_refused),
		cmocka_unit_test(spans_reach_the_collector),
		cmocka_unit_test(batches_are_bounded_and_flushed),
		cmocka_unit_test(what_may_pass_is_tried_again),
		cmocka_unit_test(rejected_spans_count_as_dropped),
		cmocka_unit_test(a_bad_collector_is_nobodys_trouble),
		cmocka_unit_test(a_wrong_endpoint_is_said_at_once),
		cmocka_unit_test(threads_share_a_tracer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
