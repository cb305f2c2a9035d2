/* health.h: every rule on both sides of its boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "telemetry/health.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW	 UINT64_C(100000000) /* ms since the machine started */
#define UNIX	 UINT64_C(1795445334)
#define MIB	 UINT64_C(1048576)
#define GIB	 (1024 * MIB)

static struct health_input well(void)
{
	return (struct health_input){
		.now_ms = NOW,
		.now_unix = UNIX,
		.probe_ok = true,
		.probe_at_ms = NOW - 5000,
		.probe_us = 1500,
		.free_bytes = 50 * GIB,
		.total_bytes = 100 * GIB,
		.min_free = 64 * MIB,
		.key_ok = true,
		.bundle_not_after = UNIX + 30,
		.bundle_grace = 10,
		.moved_at_ms = NOW,
	};
}

/* One check has this status, and the others are well. */
static void expect(const struct health_input *in, enum health_id id, enum health_status status)
{
	const char *reason;
	struct health h;

	health_evaluate(in, &h);
	assert_int_equal(h.n, HEALTH_MAX);
	for (size_t i = 0; i < HEALTH_MAX; i++) {
		assert_true(h.check[i].message[0] != '\0');
		if (h.check[i].status != (i == id ? status : HEALTHY))
			fail_msg("%s is %s: %s", h.check[i].name, health_name(h.check[i].status),
				 h.check[i].message);
	}
	assert_int_equal(health_worst(&h, &reason), status);
	if (status == HEALTHY)
		assert_null(reason);
	else
		assert_string_equal(reason, h.check[id].message);
}

static void all_is_well(void **state)
{
	static const char *const names[] = {"storage", "space", "key", "bundle", "clock", "queue"};
	struct health_input in = well();
	struct health h;

	(void)state;
	expect(&in, HEALTH_STORAGE, HEALTHY);
	health_evaluate(&in, &h);
	for (size_t i = 0; i < HEALTH_MAX; i++) {
		assert_string_equal(h.check[i].name, names[i]);
		assert_int_equal(h.check[i].at_ms, i == HEALTH_STORAGE ? NOW - 5000 : NOW);
		assert_int_equal(h.check[i].took_us, i == HEALTH_STORAGE ? 1500 : 0);
	}
	assert_string_equal(health_name(HEALTHY), "healthy");
	assert_string_equal(health_name(DEGRADED), "degraded");
	assert_string_equal(health_name(UNHEALTHY), "unhealthy");
}

static void storage_is_judged_by_its_probe(void **state)
{
	static const struct {
		uint64_t age_ms;
		enum health_status is;
	} ages[] = {{60000, HEALTHY},
		    {60001, DEGRADED},
		    {180000, DEGRADED},
		    {180001, UNHEALTHY},
		    {NOW, UNHEALTHY}};
	struct health_input in = well();
	struct health h;

	(void)state;
	for (size_t i = 0; i < COUNT(ages); i++) {
		in.probe_at_ms = NOW - ages[i].age_ms;
		expect(&in, HEALTH_STORAGE, ages[i].is);
	}
	in.probe_at_ms = NOW + 5; /* it ended since the caller looked at the clock */
	expect(&in, HEALTH_STORAGE, HEALTHY);
	in.probe_ok = false;
	expect(&in, HEALTH_STORAGE, UNHEALTHY);
	memset(in.probe_error, 'x', sizeof(in.probe_error) - 1);
	expect(&in, HEALTH_STORAGE, UNHEALTHY);
	snprintf(in.probe_error, sizeof(in.probe_error), "No space left on device");
	health_evaluate(&in, &h);
	assert_string_equal(h.check[HEALTH_STORAGE].message,
			    "cannot write to the store: No space left on device");
}

static void space_is_judged_by_what_is_free(void **state)
{
	static const struct {
		uint64_t free, total, min_free, fill;
		enum health_status is;
	} cases[] = {
		{64 * MIB + 1, 100 * GIB, 64 * MIB, 0, HEALTHY},
		{64 * MIB, 100 * GIB, 64 * MIB, 0, DEGRADED},
		{16 * MIB, 100 * GIB, 64 * MIB, 0, DEGRADED}, /* under 1 %, but not under 16 MiB */
		{16 * MIB - 1, 100 * GIB, 64 * MIB, 0, UNHEALTHY},
		{0, 100 * GIB, 0, 0, UNHEALTHY},
		{10 * MIB, 1000 * MIB, 1, 0, HEALTHY}, /* a small disk: just 1 % */
		{10 * MIB - 1, 1000 * MIB, 1, 0, UNHEALTHY},
		{10 * MIB - 1, 1000 * MIB, 1, UINT64_MAX, UNHEALTHY},
		/* 3600 MiB above the minimum last an hour at 1 MiB per second */
		{3664 * MIB, 100 * GIB, 64 * MIB, MIB, HEALTHY},
		{3664 * MIB - 1, 100 * GIB, 64 * MIB, MIB, DEGRADED},
		{3664 * MIB, 100 * GIB, 64 * MIB, MIB + 1, DEGRADED},
		{UINT64_MAX, UINT64_MAX, 0, 1, HEALTHY},
		{UINT64_MAX, UINT64_MAX, 0, UINT64_MAX, DEGRADED},
		{50 * GIB, 100 * GIB, UINT64_MAX, 0, DEGRADED},
	};
	struct health h;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct health_input in = well();

		in.free_bytes = cases[i].free;
		in.total_bytes = cases[i].total;
		in.min_free = cases[i].min_free;
		in.fill_bytes_per_s = cases[i].fill;
		expect(&in, HEALTH_SPACE, cases[i].is);
		if (cases[i].is == DEGRADED) {
			health_evaluate(&in, &h);
			assert_non_null(
				strstr(h.check[HEALTH_SPACE].message, "no room for new uploads"));
		}
	}
}

static void key_and_bundle_are_judged(void **state)
{
	static const struct {
		int64_t ended;
		enum health_status is;
	} cases[] = {{-60, HEALTHY}, {0, HEALTHY},   {5, HEALTHY},
		     {6, DEGRADED},  {10, DEGRADED}, {11, UNHEALTHY}};
	struct health_input in = well();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		in.bundle_not_after = UNIX - (uint64_t)cases[i].ended;
		expect(&in, HEALTH_BUNDLE, cases[i].is);
	}
	in = well();
	in.key_ok = false;
	expect(&in, HEALTH_KEY, UNHEALTHY);
}

static void clocks_are_judged(void **state)
{
	static const struct {
		int64_t offset, jump;
		uint64_t ago_ms;
		enum health_status is;
	} cases[] = {
		{10, 0, 0, HEALTHY},	      {-10, 0, 0, HEALTHY},
		{11, 0, 0, DEGRADED},	      {-11, 0, 0, DEGRADED},
		{300, 0, 0, DEGRADED},	      {301, 0, 0, UNHEALTHY},
		{-301, 0, 0, UNHEALTHY},      {0, 10, 0, HEALTHY},
		{0, -10, 0, HEALTHY},	      {0, 11, 0, DEGRADED},
		{0, -11, 0, DEGRADED},	      {0, 11, 599999, DEGRADED},
		{0, 11, 600000, HEALTHY},     {301, 11, 0, UNHEALTHY},
		{INT64_MIN, 0, 0, UNHEALTHY}, {0, INT64_MIN, 0, DEGRADED},
		{INT64_MAX, 0, 0, UNHEALTHY},
	};
	struct health_input in;
	struct health h;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		in = well();
		in.store_clock_offset_s = cases[i].offset;
		in.clock_jump_s = cases[i].jump;
		in.clock_jump_at_ms = NOW - cases[i].ago_ms;
		expect(&in, HEALTH_CLOCK, cases[i].is);
	}
	in = well();
	in.now_unix = 1767225600; /* 2026-01-01T00:00:00Z */
	in.bundle_not_after = in.now_unix;
	expect(&in, HEALTH_CLOCK, HEALTHY);
	in.now_unix--;
	expect(&in, HEALTH_CLOCK, UNHEALTHY);
	health_evaluate(&in, &h);
	assert_string_equal(h.check[HEALTH_CLOCK].message,
			    "the clock is not set: it says 2025-12-31T23:59:59Z");
}

static void the_queue_is_judged_by_what_moves(void **state)
{
	static const struct {
		unsigned waiting;
		uint64_t still_ms;
		enum health_status is;
	} cases[] = {
		{0, NOW, HEALTHY},    {1, 0, HEALTHY},	     {1, 59999, HEALTHY},
		{1, 60000, DEGRADED}, {9, 299999, DEGRADED}, {9, 300000, UNHEALTHY},
		{9, NOW, UNHEALTHY},
	};
	struct health_input in = well();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		in.waiting = cases[i].waiting;
		in.moved_at_ms = NOW - cases[i].still_ms;
		expect(&in, HEALTH_QUEUE, cases[i].is);
	}
}

static void draining_is_degraded_at_least(void **state)
{
	struct health_input in = well();
	const char *reason;
	struct health h;

	(void)state;
	in.draining = true;
	health_evaluate(&in, &h);
	assert_int_equal(health_worst(&h, &reason), DEGRADED);
	assert_string_equal(reason, "draining");
	in.key_ok = false;
	health_evaluate(&in, &h);
	assert_int_equal(health_worst(&h, &reason), UNHEALTHY);
	assert_string_equal(reason, h.check[HEALTH_KEY].message);
}

static void the_worst_of_several_gives_the_reason(void **state)
{
	struct health_input in = well();
	const char *reason;
	struct health h;

	(void)state;
	in.probe_at_ms = NOW - 70000;
	in.store_clock_offset_s = 400;
	in.waiting = 1;
	in.moved_at_ms = 0;
	health_evaluate(&in, &h);
	assert_int_equal(health_worst(&h, &reason), UNHEALTHY);
	assert_string_equal(reason, h.check[HEALTH_CLOCK].message);
}

static void json_is_json_whatever_failed(void **state)
{
	struct health_input in = well();
	struct buf b = BUF_INIT(8192);
	struct health h;
	json_t *all, *one;

	(void)state;
	in.probe_ok = false;
	in.probe_at_ms = NOW - 2500;
	snprintf(in.probe_error, sizeof(in.probe_error), "\"}],\\\n\x1b[31m\xff\xe2\x80\xae");
	health_evaluate(&in, &h);
	health_json(&h, NOW + 250, &b);
	assert_int_equal(buf_error(&b), 0);
	all = json_loadb((char *)b.p, b.len, 0, NULL);
	assert_int_equal(json_array_size(all), HEALTH_MAX);
	one = json_array_get(all, HEALTH_STORAGE);
	assert_int_equal(json_object_size(one), 5);
	assert_string_equal(json_string_value(json_object_get(one, "name")), "storage");
	assert_string_equal(json_string_value(json_object_get(one, "status")), "unhealthy");
	assert_non_null(strstr(json_string_value(json_object_get(one, "message")), "\"}],\\\n"));
	assert_true(json_number_value(json_object_get(one, "observed_seconds_ago")) == 2.75);
	assert_true(json_number_value(json_object_get(one, "response_time_ms")) == 1.5);
	one = json_array_get(all, HEALTH_QUEUE);
	assert_true(json_number_value(json_object_get(one, "observed_seconds_ago")) == 0.25);
	json_decref(all);
	buf_free(&b);
}

static void the_gauges_follow(void **state)
{
	struct metrics *m = calloc(1, sizeof(*m));
	struct health_input in = well();
	struct health h;

	(void)state;
	assert_non_null(m);
	in.probe_at_ms = NOW - 70000;
	in.key_ok = false;
	in.waiting = 1;
	in.moved_at_ms = NOW - 60000;
	health_evaluate(&in, &h);
	health_metrics(&h, m);
	assert_int_equal(metric_get(m, M_HEALTH_STORAGE), 1);
	assert_int_equal(metric_get(m, M_HEALTH_SPACE), 0);
	assert_int_equal(metric_get(m, M_HEALTH_KEY), 2);
	assert_int_equal(metric_get(m, M_HEALTH_BUNDLE), 0);
	assert_int_equal(metric_get(m, M_HEALTH_CLOCK), 0);
	assert_int_equal(metric_get(m, M_HEALTH_QUEUE), 1);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_well),
		cmocka_unit_test(storage_is_judged_by_its_probe),
		cmocka_unit_test(space_is_judged_by_what_is_free),
		cmocka_unit_test(key_and_bundle_are_judged),
		cmocka_unit_test(clocks_are_judged),
		cmocka_unit_test(the_queue_is_judged_by_what_moves),
		cmocka_unit_test(draining_is_degraded_at_least),
		cmocka_unit_test(the_worst_of_several_gives_the_reason),
		cmocka_unit_test(json_is_json_whatever_failed),
		cmocka_unit_test(the_gauges_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
