/* windows.h: rates, quantiles and loads against numbers worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "metrics_fixture.h"
#include "telemetry/windows.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define S(n)	 ((uint64_t)(n)*1000)
#define NS(n)	 ((uint64_t)((n)*1e9))

struct fixture {
	struct metrics *m;
	struct windows *w;
	struct buf b;
};

static int setup(void **state)
{
	static const struct windows_opts o = {.cpu_workers = 2, .disk_workers = 4};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->m = calloc(1, sizeof(*f->m));
	assert_non_null(f->m);
	assert_int_equal(windows_new(&f->w, &o), 0);
	buf_init(&f->b, METRICS_TEXT_MAX);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	windows_free(f->w);
	buf_free(&f->b);
	free(f->m);
	free(f);
	return 0;
}

static const char *render(struct fixture *f, uint64_t now_ms, enum metrics_format format)
{
	const char *text;

	buf_reset(&f->b);
	assert_int_equal(windows_render(f->w, f->m, now_ms, format, &f->b), 0);
	text = buf_cstr(&f->b);
	if (format != METRICS_JSON)
		read_metrics(text, format == METRICS_OPENMETRICS);
	return text;
}

static void expect(struct fixture *f, uint64_t now_ms, const char *series, double value)
{
	double v = value_of(render(f, now_ms, METRICS_TEXT), series);

	if (fabs(v - value) > 1e-9 * (value > 1 ? value : 1))
		fail_msg("%s at %llu ms is %.9f, not %.9f", series, (unsigned long long)now_ms, v,
			 value);
}

#define ABSENT	    (-1.0)
#define RECEIVED(w) "pqc_window_bytes_per_second{direction=\"received\",window=\"" w "\"}"
#define QUANTILE(metric, q, w) \
	"pqc_window_quantile_seconds{metric=\"" metric "\",quantile=\"" q "\",window=\"" w "\"}"
#define BUSY(r) "pqc_busy_ratio{resource=\"" r "\",window=\"1m\"}"

static void rates_are_by_the_time_that_passed(void **state)
{
	struct fixture *f = *state;
	double v = 0;

	windows_sample(f->w, f->m, 1000);
	metric_add(f->m, M_BYTES_IN, 5000000);
	metric_add(f->m, M_BYTES_OUT, 20);
	metric_add(f->m, M_PUT_DONE, 2);
	metric_add(f->m, M_GET_DONE, 1);
	metric_add(f->m, M_GET_FAILED, 5);
	metric_add(f->m, M_PUT_INTERRUPTED, 7);
	metric_add(f->m, M_KEY_EXCHANGES, 25);
	expect(f, 11000, RECEIVED("1m"), 500000);
	expect(f, 11000, RECEIVED("15m"), 500000);
	expect(f, 11000, "pqc_window_bytes_per_second{direction=\"sent\",window=\"5m\"}", 2);
	expect(f, 11000, "pqc_window_transfers_per_second{result=\"done\",window=\"1m\"}", 0.3);
	expect(f, 11000, "pqc_window_transfers_per_second{result=\"failed\",window=\"1m\"}", 0.5);
	expect(f, 11000, "pqc_window_transfers_per_second{result=\"interrupted\",window=\"1m\"}",
	       0.7);
	expect(f, 11000, "pqc_window_handshakes_per_second{window=\"1m\"}", 2.5);
	assert_true(windows_rate(f->w, f->m, 11000, S(60), M_BYTES_IN, &v));
	assert_true(v == 500000);
}

static void each_window_sees_its_own_minutes(void **state)
{
	struct fixture *f = *state;

	/* 200 bytes per second for ten minutes, then 400; more samples than the ring holds */
	for (unsigned t = 0; t <= 1200; t += 5) {
		windows_sample(f->w, f->m, S(t));
		metric_add(f->m, M_BYTES_IN, t < 600 ? 1000 : 2000);
		if (t == 1200)
			metric_sub(f->m, M_BYTES_IN, 2000);
	}
	expect(f, S(1200), RECEIVED("1m"), 400);
	expect(f, S(1200), RECEIVED("5m"), 400);
	expect(f, S(1200), RECEIVED("15m"), (300 * 200 + 600 * 400) / 900.0);
}

static void a_sample_that_comes_early_costs_no_room(void **state)
{
	struct fixture *f = *state;

	for (unsigned t = 0; t <= 1200; t++) {
		windows_sample(f->w, f->m, S(t));
		if (t == 400) /* ten minutes and more ago at the end */
			metric_add(f->m, M_BYTES_IN, 9000);
	}
	expect(f, S(1200), RECEIVED("15m"), 10);
	expect(f, S(1200), RECEIVED("5m"), 0);
}

static void there_is_nothing_before_a_second_has_passed(void **state)
{
	struct fixture *f = *state;
	double v = 42;

	assert_string_equal(render(f, 5000, METRICS_TEXT), "");
	windows_sample(f->w, f->m, 5000);
	metric_add(f->m, M_BYTES_IN, 100);
	assert_string_equal(render(f, 5000, METRICS_TEXT), "");
	assert_string_equal(render(f, 5999, METRICS_OPENMETRICS), "# EOF\n");
	assert_string_equal(render(f, 5999, METRICS_JSON), "[]\n");
	assert_false(windows_rate(f->w, f->m, 5999, S(60), M_BYTES_IN, &v));
	assert_true(v == 42);
	expect(f, 6000, RECEIVED("1m"), 100);
}

static void a_gap_makes_no_rate_of_what_is_not_known(void **state)
{
	struct fixture *f = *state;

	windows_sample(f->w, f->m, S(0));
	windows_sample(f->w, f->m, S(5));
	metric_add(f->m, M_BYTES_IN, 7000);
	expect(f, S(700), RECEIVED("1m"), ABSENT);
	expect(f, S(700), RECEIVED("5m"), ABSENT);
	expect(f, S(700), RECEIVED("15m"), 10);
	windows_sample(f->w, f->m, S(700));
	metric_add(f->m, M_BYTES_IN, 100);
	expect(f, S(705), RECEIVED("1m"), 20);
	expect(f, S(705), RECEIVED("5m"), 20);
	expect(f, S(5000), RECEIVED("15m"), ABSENT);
	assert_true(metric_get_f64(f->m, M_THROUGHPUT) == 0);
}

static void a_clock_that_goes_back_starts_anew(void **state)
{
	struct fixture *f = *state;

	windows_sample(f->w, f->m, S(100));
	windows_sample(f->w, f->m, S(105));
	metric_add(f->m, M_BYTES_IN, 500);
	expect(f, S(50), RECEIVED("15m"), ABSENT);
	windows_sample(f->w, f->m, S(50));
	metric_add(f->m, M_BYTES_IN, 500);
	expect(f, S(55), RECEIVED("15m"), 100);
	windows_sample(f->w, f->m, S(55));
	expect(f, S(60), RECEIVED("15m"), 50);
}

static void nothing_is_ever_negative(void **state)
{
	struct fixture *f = *state;

	metric_set(f->m, M_BYTES_IN, 1000);
	for (int i = 0; i < 9; i++)
		histo_observe(f->m, H_FSYNC, 0.003, NULL);
	windows_sample(f->w, f->m, S(10));
	metric_set(f->m, M_BYTES_IN, 10);
	memset(&f->m->histo[H_FSYNC], 0, sizeof(f->m->histo[H_FSYNC]));
	histo_observe(f->m, H_FSYNC, 3, NULL); /* in (2.5, 5] */
	expect(f, S(20), RECEIVED("1m"), 1);
	expect(f, S(20), QUANTILE("fsync", "0.5", "1m"), 2.5 + 2.5 * 0.5);
}

/* ---- quantiles ---- */

static void quantiles_are_interpolated(void **state)
{
	struct fixture *f = *state;

	histo_observe(f->m, H_KEY_EXCHANGE, 0.9, NULL); /* before: not of the window */
	windows_sample(f->w, f->m, 0);
	for (int i = 0; i < 10; i++) {
		histo_observe(f->m, H_KEY_EXCHANGE, 0.002, NULL); /* (0.001, 0.0025] */
		histo_observe(f->m, H_KEY_EXCHANGE, 0.004, NULL); /* (0.0025, 0.005] */
	}
	/* ranks 10, 19 and 19.8 of 20 */
	expect(f, S(5), QUANTILE("key_exchange", "0.5", "1m"), 0.0025);
	expect(f, S(5), QUANTILE("key_exchange", "0.95", "1m"), 0.0025 + 0.0025 * 0.9);
	expect(f, S(5), QUANTILE("key_exchange", "0.99", "1m"), 0.0025 + 0.0025 * 0.98);
	expect(f, S(5), QUANTILE("handshake", "0.5", "1m"), ABSENT);
}

static void the_first_and_the_last_bucket_are_special(void **state)
{
	struct fixture *f = *state;

	windows_sample(f->w, f->m, 0);
	for (int i = 0; i < 4; i++)
		histo_observe(f->m, H_KEY_EXCHANGE, 0.0001, NULL); /* (0, 0.0005] */
	expect(f, S(5), QUANTILE("key_exchange", "0.5", "5m"), 0.00025);
	for (int i = 0; i < 96; i++)
		histo_observe(f->m, H_KEY_EXCHANGE, 77, NULL);
	expect(f, S(5), QUANTILE("key_exchange", "0.5", "5m"), 1);
	expect(f, S(5), QUANTILE("key_exchange", "0.99", "5m"), 1);
}

static void quantiles_go_when_what_they_tell_of_is_over(void **state)
{
	struct fixture *f = *state;

	windows_sample(f->w, f->m, 0);
	histo_observe(f->m, H_COMMIT, 0.02, NULL);
	for (unsigned t = 5; t <= 100; t += 5)
		windows_sample(f->w, f->m, S(t));
	expect(f, S(100), QUANTILE("commit", "0.5", "1m"), ABSENT);
	expect(f, S(100), QUANTILE("commit", "0.5", "5m"), 0.01 + 0.015 * 0.5);
}

static void every_metric_of_the_quantiles_has_its_histogram(void **state)
{
	static const struct {
		const char *series;
		enum histo h;
	} cases[] = {
		{QUANTILE("key_exchange", "0.5", "1m"), H_KEY_EXCHANGE},
		{QUANTILE("handshake", "0.5", "1m"), H_HANDSHAKE},
		{QUANTILE("queue_wait", "0.5", "1m"), H_QUEUE_WAIT},
		{QUANTILE("transfer_start", "0.5", "1m"), H_TRANSFER_START},
		{QUANTILE("part_verify", "0.5", "1m"), H_PART_VERIFY},
		{QUANTILE("part_write", "0.5", "1m"), H_PART_WRITE},
		{QUANTILE("fsync", "0.5", "1m"), H_FSYNC},
		{QUANTILE("commit", "0.5", "1m"), H_COMMIT},
		{QUANTILE("transfer", "0.5", "1m"), H_TRANSFER_DURATION},
	};
	struct fixture *f = *state;
	const char *text;

	windows_sample(f->w, f->m, 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_true(value_of(render(f, S(5), METRICS_TEXT), cases[i].series) < 0);
		histo_observe(f->m, cases[i].h, 0.1, NULL);
		text = render(f, S(5), METRICS_TEXT);
		assert_true(value_of(text, cases[i].series) > 0);
		assert_true(value_of(text, cases[i].series) <= 0.1);
	}
}

/* ---- loads ---- */

static void workers_are_as_busy_as_their_time_says(void **state)
{
	struct fixture *f = *state;

	windows_sample(f->w, f->m, S(0));
	metric_time(f->m, M_ACT_VERIFY, NS(5));
	metric_time(f->m, M_ACT_WRITE, NS(3));
	metric_time(f->m, M_ACT_FSYNC, NS(5));
	metric_time(f->m, M_ACT_SEND, NS(1));
	metric_time(f->m, M_ACT_WAIT_PEER, NS(20));
	metric_time(f->m, M_ACT_WAIT_SERVER, NS(6));
	metric_set(f->m, M_PEER_NETWORK_PERMILLE, 250);
	expect(f, S(10), BUSY("crypto"), 5 / (10 * 2.0));
	expect(f, S(10), BUSY("disk"), 8 / (10 * 4.0));
	expect(f, S(10), BUSY("network"), 0.5 * 0.25);
	expect(f, S(10), BUSY("client"), 0.5 * 0.75);
	metric_time(f->m, M_ACT_VERIFY,
		    NS(500)); /* a wait that ended in this window began before it */
	metric_set(f->m, M_PEER_NETWORK_PERMILLE, 5000);
	expect(f, S(10), BUSY("crypto"), 1);
	expect(f, S(10), BUSY("client"), 0);
}

static void the_throughput_is_of_a_worker_and_of_the_last_minute(void **state)
{
	struct fixture *f = *state;

	windows_sample(f->w, f->m, S(0));
	assert_true(metric_get_f64(f->m, M_THROUGHPUT) == 0);
	metric_add(f->m, M_BYTES_IN, 1000000000);
	metric_time(f->m, M_ACT_VERIFY, NS(2));
	windows_sample(f->w, f->m, S(5));
	assert_true(fabs(metric_get_f64(f->m, M_THROUGHPUT) - 500) < 1e-6);
	for (unsigned t = 10; t <= 60; t += 5)
		windows_sample(f->w, f->m, S(t));
	assert_true(fabs(metric_get_f64(f->m, M_THROUGHPUT) - 500) < 1e-6);
	windows_sample(f->w, f->m, S(65));
	assert_true(metric_get_f64(f->m, M_THROUGHPUT) == 0);
}

static void the_bottleneck_follows_its_rule(void **state)
{
	/* milliseconds of verify, write, fsync, send, wait_peer, wait_server; permille */
	static const struct {
		unsigned ms[6], permille;
		const char *is;
	} cases[] = {
		{{0, 0, 0, 0, 0, 0}, 1000, "none"},
		{{0, 0, 0, 0, 1, 0}, 500, "network"},
		{{0, 0, 0, 0, 1, 0}, 499, "client"},
		{{10, 10, 10, 10, 51, 10}, 1000, "network"},
		{{10, 10, 10, 10, 51, 10}, 0, "client"},
		{{20, 10, 5, 5, 50, 10}, 1000, "crypto"}, /* half is not more than half */
		{{5, 10, 20, 5, 50, 10}, 1000, "disk"},
		{{10, 0, 19, 0, 0, 0}, 0, "crypto"}, /* of two workers, against 19 of four */
		{{10, 0, 20, 0, 0, 0}, 0, "disk"},
		{{0, 0, 0, 0, 0, 9}, 1000, "disk"},
	};
	static const char *const resources[] = {"none", "network", "crypto", "disk", "client"};
	char series[128];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture *f;

		setup(state);
		f = *state;
		windows_sample(f->w, f->m, 0);
		for (int k = 0; k < 6; k++)
			metric_time(f->m, (enum metric)(M_ACT_VERIFY + k),
				    NS(cases[i].ms[k] / 1e3));
		metric_set(f->m, M_PEER_NETWORK_PERMILLE, cases[i].permille);
		for (size_t r = 0; r < COUNT(resources); r++) {
			snprintf(series, sizeof(series),
				 "pqc_bottleneck{resource=\"%s\",window=\"15m\"}", resources[r]);
			expect(f, S(10), series, strcmp(resources[r], cases[i].is) == 0 ? 1 : 0);
		}
		teardown(state);
	}
}

/* ---- forms ---- */

static void json_has_what_the_text_has(void **state)
{
	struct fixture *f = *state;
	json_t *all, *point;
	size_t i, lines = 0;
	const char *text, *key;

	windows_sample(f->w, f->m, 0);
	metric_add(f->m, M_BYTES_IN, 500);
	for (int h = 0; h < HISTO_COUNT; h++)
		histo_observe(f->m, (enum histo)h, 0.1, NULL);
	text = render(f, S(10), METRICS_TEXT);
	for (const char *p = text; *p != '\0'; p = next_line(p))
		lines += *p != '#';
	assert_int_equal(lines, 3 * (2 + 4 + 1 + 27 + 4 + 5));
	all = json_loads(render(f, S(10), METRICS_JSON), 0, NULL);
	assert_int_equal(json_array_size(all), lines);
	json_array_foreach(all, i, point)
	{
		json_t *labels = json_object_get(point, "labels");
		const char *window = json_string_value(json_object_get(labels, "window"));

		assert_int_equal(json_object_size(point), 5);
		assert_true(json_is_number(json_object_get(point, "value")));
		assert_true(json_is_string(json_object_get(point, "name")));
		assert_true(json_is_string(json_object_get(point, "unit")));
		assert_int_equal(json_string_length(json_object_get(point, "timestamp")), 20);
		assert_true(strcmp(window, "1m") == 0 || strcmp(window, "5m") == 0 ||
			    strcmp(window, "15m") == 0);
	}
	point = json_array_get(all, 0);
	key = json_string_value(json_object_get(json_object_get(point, "labels"), "direction"));
	assert_string_equal(key, "received");
	assert_string_equal(json_string_value(json_object_get(point, "unit")), "bytes_per_second");
	assert_true(json_number_value(json_object_get(point, "value")) == 50);
	json_decref(all);
	read_metrics(render(f, S(10), METRICS_OPENMETRICS), true);
}

static void off_shows_nothing(void **state)
{
	struct fixture *f = *state;

	f->m->off = true;
	windows_sample(f->w, f->m, S(0));
	windows_sample(f->w, f->m, S(5));
	assert_string_equal(render(f, S(10), METRICS_TEXT), "");
	assert_string_equal(render(f, S(10), METRICS_OPENMETRICS), "# EOF\n");
	assert_string_equal(render(f, S(10), METRICS_JSON), "[]\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(rates_are_by_the_time_that_passed),
		TEST(each_window_sees_its_own_minutes),
		TEST(a_sample_that_comes_early_costs_no_room),
		TEST(there_is_nothing_before_a_second_has_passed),
		TEST(a_gap_makes_no_rate_of_what_is_not_known),
		TEST(a_clock_that_goes_back_starts_anew),
		TEST(nothing_is_ever_negative),
		TEST(quantiles_are_interpolated),
		TEST(the_first_and_the_last_bucket_are_special),
		TEST(quantiles_go_when_what_they_tell_of_is_over),
		TEST(every_metric_of_the_quantiles_has_its_histogram),
		TEST(workers_are_as_busy_as_their_time_says),
		TEST(the_throughput_is_of_a_worker_and_of_the_last_minute),
		cmocka_unit_test(the_bottleneck_follows_its_rule),
		TEST(json_has_what_the_text_has),
		TEST(off_shows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
