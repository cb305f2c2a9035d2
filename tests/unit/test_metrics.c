/* metrics.h: names, both text forms to the letter, nothing lost and nothing torn under load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "metrics_fixture.h"
#include "telemetry/metrics_internal.h"
#include "telemetry/process.h"
#include "telemetry/windows.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define THREADS	 8
#define ROUNDS	 500000

static struct metrics *fresh(void)
{
	struct metrics *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	return m;
}

static const char *render(const struct metrics *m, enum metrics_format f, struct buf *b)
{
	const char *text;

	buf_reset(b);
	assert_int_equal(metrics_render(m, f, b), 0);
	text = buf_cstr(b);
	assert_non_null(text);
	return text;
}

/* Everything has a value, and every bucket an exemplar. */
static void fill(struct metrics *m, uint64_t value)
{
	static const uint8_t id[METRICS_TRACE_LEN] = {0xab, 0xcd, [15] = 0xef};

	metrics_info(m, "1.0", "Kyber768", "OpenSSL 3.5.0");
	for (int k = 0; k < METRIC_COUNT; k++) {
		if (metric_table[k].family->value == V_F64)
			metric_set_f64(m, (enum metric)k, 0.25);
		else if (k != M_BUILD_INFO)
			metric_set(m, (enum metric)k, value);
	}
	for (int h = 0; h < HISTO_COUNT; h++)
		for (size_t i = 0; i <= histo_table[h].n; i++)
			histo_observe(m, (enum histo)h,
				      i < histo_table[h].n ? histo_table[h].bounds[i].le : 1e300,
				      id);
}

/* ---- the names, as everybody else knows them ---- */

static const char *const counters[] = {
	"pqc_key_exchanges_total",
	"failed_authentications_total",
	"key_rotation_events_total",
	"pqc_connections_total",
	"pqc_connections_rejected_total",
	"pqc_protocol_errors_total",
	"pqc_store_errors_total",
	"pqc_handshake_failures_total",
	"pqc_part_bytes_total",
	"pqc_parts_total",
	"pqc_duplicate_parts_total",
	"pqc_parts_refused_total",
	"pqc_transfers_total",
	"pqc_resumes_total",
	"pqc_superseded_total",
	"pqc_queue_admitted_total",
	"pqc_queue_left_total",
	"pqc_quota_refusals_total",
	"pqc_requests_refused_total",
	"pqc_activity_seconds_total",
	"pqc_events_delivered_total",
	"pqc_trace_spans_total",
	"process_cpu_seconds_total",
};
static const char *const gauges[] = {
	"active_transfers",
	"pqc_transfer_slots",
	"pqc_queue_length",
	"pqc_queue_oldest_wait_seconds",
	"pqc_open_connections",
	"pqc_encryption_throughput_mbps",
	"pqc_durable_lag_bytes",
	"pqc_durable_lag_seconds",
	"pqc_storage_used_bytes",
	"pqc_storage_free_bytes",
	"pqc_storage_total_bytes",
	"pqc_storage_min_free_bytes",
	"pqc_stored_objects",
	"pqc_health_status",
	"pqc_draining",
	"pqc_build_info",
	"pqc_events_pending",
	"pqc_loop_lag_seconds",
	"pqc_identity_created_timestamp_seconds",
	"pqc_kek_created_timestamp_seconds",
	"pqc_bundle_expiry_timestamp_seconds",
	"pqc_tls_certificate_expiry_timestamp_seconds",
	"process_start_time_seconds",
	"process_resident_memory_bytes",
	"process_virtual_memory_bytes",
	"process_open_fds",
	"process_max_fds",
};
static const char *const histograms[] = {
	"pqc_key_exchange_duration_seconds",
	"pqc_handshake_duration_seconds",
	"file_transfer_size_bytes",
	"file_transfer_duration_seconds",
	"pqc_queue_wait_seconds",
	"pqc_transfer_start_seconds",
	"pqc_part_verify_seconds",
	"pqc_part_write_seconds",
	"pqc_fsync_duration_seconds",
	"pqc_commit_duration_seconds",
};
static const struct {
	const char *name, *label, *values;
} labelled[] = {
	{"pqc_handshake_failures_total", "reason",
	 "malformed suite authentication timeout origin internal"},
	{"pqc_part_bytes_total", "direction", "received sent"},
	{"pqc_parts_total", "direction", "received sent"},
	{"pqc_parts_refused_total", "reason", "malformed tag mismatch too_large no_space store"},
	{"pqc_transfers_total", "direction=\"put\",result", "done failed interrupted refused"},
	{"pqc_transfers_total", "direction=\"get\",result", "done failed interrupted refused"},
	{"pqc_queue_left_total", "reason", "vanished refused drained"},
	{"pqc_quota_refusals_total", "scope", "client disk size"},
	{"pqc_requests_refused_total", "reason", "unknown_identity no_right"},
	{"pqc_activity_seconds_total", "activity", "verify write fsync send wait_peer wait_server"},
	{"pqc_events_delivered_total", "result", "delivered retried given_up"},
	{"pqc_trace_spans_total", "result", "exported dropped"},
	{"pqc_health_status", "check", "storage space key bundle clock queue"},
};

static size_t times(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

static void expect_types(const char *text, const char *const *names, size_t n, const char *type)
{
	char line[160];

	for (size_t i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "# TYPE %s %s\n", names[i], type);
		assert_int_equal(times(text, line), 1);
	}
}

static void every_family_is_there_once_with_its_labels(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	size_t series = 0, families = 0;
	const char *text;
	char name[160], values[160];

	(void)state;
	fill(m, 7);
	text = render(m, METRICS_TEXT, &b);
	expect_types(text, counters, COUNT(counters), "counter");
	expect_types(text, gauges, COUNT(gauges), "gauge");
	expect_types(text, histograms, COUNT(histograms), "histogram");
	assert_int_equal(times(text, "# TYPE "),
			 COUNT(counters) + COUNT(gauges) + COUNT(histograms));
	for (size_t i = 0; i < COUNT(labelled); i++) {
		families += i == 0 || strcmp(labelled[i].name, labelled[i - 1].name) != 0;
		snprintf(values, sizeof(values), "%s", labelled[i].values);
		for (char *v = strtok(values, " "); v != NULL; v = strtok(NULL, " ")) {
			snprintf(name, sizeof(name), "%s{%s=\"%s\"}", labelled[i].name,
				 labelled[i].label, v);
			if (value_of(text, name) < 0)
				fail_msg("%s is not there", name);
			series++;
		}
	}
	/* and no series but these: each of the others is one line without labels, and build_info */
	assert_int_equal(times(text, "\n") - 2 * times(text, "# TYPE ") - times(text, "_bucket{") -
				 2 * COUNT(histograms),
			 series + COUNT(counters) + COUNT(gauges) - families);
	buf_free(&b);
	free(m);
}

static void lines_follow_the_grammar(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	size_t n = COUNT(counters) + COUNT(gauges) + COUNT(histograms);

	(void)state;
	assert_true(read_metrics(render(m, METRICS_TEXT, &b), false) < n);
	assert_true(read_metrics(render(m, METRICS_OPENMETRICS, &b), true) < n);
	fill(m, UINT64_MAX); /* the longest there is */
	assert_int_equal(read_metrics(render(m, METRICS_TEXT, &b), false), n);
	assert_int_equal(times((char *)b.p, "trace_id"), 0);
	assert_int_equal(read_metrics(render(m, METRICS_OPENMETRICS, &b), true), n);
	assert_int_equal(times((char *)b.p, "trace_id"), times((char *)b.p, "_bucket{"));
	assert_true(b.len < METRICS_TEXT_MAX / 2);
	buf_free(&b);
	free(m);
}

static void openmetrics_has_its_own_heads(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	const char *text;

	(void)state;
	fill(m, 1500000000);
	text = render(m, METRICS_OPENMETRICS, &b);
	assert_non_null(strstr(text, "# TYPE pqc_activity_seconds counter\n"
				     "# UNIT pqc_activity_seconds seconds\n"
				     "# HELP pqc_activity_seconds "));
	assert_non_null(strstr(text, "\npqc_activity_seconds_total{activity=\"verify\"} 1.5\n"));
	assert_non_null(strstr(text, "# TYPE active_transfers gauge\n# HELP active_transfers "));
	assert_non_null(strstr(text, "\nfile_transfer_size_bytes_bucket{le=\"65536.0\"} 1 # "
				     "{trace_id=\"abcd00000000000000000000000000ef\"} 65536 "));
	buf_free(&b);
	free(m);
}

static void numbers_are_written_exactly(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1, "0.000000001"},
		{10, "0.00000001"},
		{999999999, "0.999999999"},
		{1000000000, "1"},
		{60000000000, "60"},
		{1500000000, "1.5"},
		{UINT64_MAX, "18446744073.709551615"},
	};
	static const struct {
		double v;
		const char *text;
	} floats[] = {{0, "0"},	    {0.25, "0.25"},   {1e-9, "0.000000001"},	{100, "100"},
		      {1e-12, "0"}, {1e6, "1000000"}, {1234567.5, "1234567.5"}, {INFINITY, "0"},
		      {NAN, "0"},   {1e300, NULL}};
	struct buf b = BUF_INIT(4096);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&b);
		metrics_put_ns(&b, cases[i].ns);
		assert_string_equal(buf_cstr(&b), cases[i].text);
	}
	for (size_t i = 0; i < COUNT(floats); i++) {
		buf_reset(&b);
		metrics_put_number(&b, floats[i].v);
		if (floats[i].text != NULL)
			assert_string_equal(buf_cstr(&b), floats[i].text);
		assert_null(strpbrk(buf_cstr(&b), "einf"));
	}
	buf_reset(&b);
	metrics_put_u64(&b, UINT64_MAX);
	assert_string_equal(buf_cstr(&b), "18446744073709551615");
	buf_free(&b);
}

/* ---- what is recorded ---- */

static void what_is_not_set_is_absent(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	const char *text;

	(void)state;
	text = render(m, METRICS_TEXT, &b);
	assert_null(strstr(text, "pqc_tls_certificate_expiry_timestamp_seconds"));
	assert_null(strstr(text, "pqc_build_info"));
	assert_null(strstr(text, "permille"));
	assert_true(value_of(text, "active_transfers") == 0);
	metric_set(m, M_TLS_EXPIRY, 1795445334);
	metric_set(m, M_PEER_NETWORK_PERMILLE, 1000);
	text = render(m, METRICS_TEXT, &b);
	assert_true(value_of(text, "pqc_tls_certificate_expiry_timestamp_seconds") == 1795445334);
	assert_null(strstr(text, "permille"));
	buf_free(&b);
	free(m);
}

static void off_records_nothing(void **state)
{
	static const uint8_t id[METRICS_TRACE_LEN] = {1};
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh(), *same = fresh();

	(void)state;
	m->off = same->off = true;
	metric_add(m, M_ACCEPTED, 1);
	metric_sub(m, M_ACTIVE, 1);
	metric_set(m, M_SLOTS, 1);
	metric_set_f64(m, M_LOOP_LAG, 1);
	metric_time(m, M_ACT_SEND, 1);
	histo_observe(m, H_FSYNC, 1, id);
	process_metrics_update(m);
	assert_memory_equal(m, same, sizeof(*m));
	assert_string_equal(render(m, METRICS_TEXT, &b), "");
	assert_string_equal(render(m, METRICS_OPENMETRICS, &b), "# EOF\n");
	buf_free(&b);
	free(m);
	free(same);
}

static void buckets_hold_what_is_not_above_them(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	const char *text;

	(void)state;
	histo_observe(m, H_KEY_EXCHANGE, 0.0005, NULL); /* the bound belongs to its bucket */
	histo_observe(m, H_KEY_EXCHANGE, 0.00050001, NULL);
	histo_observe(m, H_KEY_EXCHANGE, -3, NULL);  /* as 0 */
	histo_observe(m, H_KEY_EXCHANGE, NAN, NULL); /* not at all */
	histo_observe(m, H_KEY_EXCHANGE, 1, NULL);
	histo_observe(m, H_KEY_EXCHANGE, 1.5, NULL);
	text = render(m, METRICS_TEXT, &b);
#define KX "pqc_key_exchange_duration_seconds_"
	assert_true(value_of(text, KX "bucket{le=\"0.0005\"}") == 2);
	assert_true(value_of(text, KX "bucket{le=\"0.001\"}") == 3);
	assert_true(value_of(text, KX "bucket{le=\"0.5\"}") == 3);
	assert_true(value_of(text, KX "bucket{le=\"1.0\"}") == 4);
	assert_true(value_of(text, KX "bucket{le=\"+Inf\"}") == 5);
	assert_true(value_of(text, KX "count") == 5);
	assert_non_null(strstr(text, KX "sum 2.50100001\n"));
	histo_observe(m, H_TRANSFER_SIZE, 0, NULL);
	histo_observe(m, H_TRANSFER_SIZE, 262145, NULL);
	histo_observe(m, H_TRANSFER_SIZE, 68719476736.0, NULL);
	text = render(m, METRICS_TEXT, &b);
#define SIZE "file_transfer_size_bytes_"
	assert_true(value_of(text, SIZE "bucket{le=\"262144.0\"}") == 1);
	assert_true(value_of(text, SIZE "bucket{le=\"1.048576e+06\"}") == 2);
	assert_true(value_of(text, SIZE "bucket{le=\"6.8719476736e+10\"}") == 3);
	assert_non_null(strstr(text, SIZE "sum 68719738881\n"));
	histo_observe(m, H_FSYNC, INFINITY, (const uint8_t *)"0123456789abcdef");
	text = render(m, METRICS_OPENMETRICS, &b); /* and no exemplar: infinity is no number */
	assert_non_null(strstr(text, "pqc_fsync_duration_seconds_bucket{le=\"+Inf\"} 1\n"));
	buf_free(&b);
	free(m);
}

/* Prometheus would write every bound as we do: shortest digits, exponent from 1e6 on. */
static void bounds_ascend_and_are_written_canonically(void **state)
{
	(void)state;
	for (int h = 0; h < HISTO_COUNT; h++) {
		const struct histo_def *d = &histo_table[h];

		assert_true(d->n > 5 && d->n < HISTO_BUCKETS);
		for (size_t i = 0; i < d->n; i++) {
			const char *t = d->bounds[i].text;

			assert_true(i == 0 || d->bounds[i].le > d->bounds[i - 1].le);
			assert_true(strtod(t, NULL) == d->bounds[i].le);
			assert_true(strpbrk(t, ".e") != NULL);
			assert_true((strchr(t, 'e') != NULL) == (d->bounds[i].le >= 1e6));
		}
	}
}

static void the_last_observation_of_a_bucket_is_its_exemplar(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	const char *text;
	uint8_t id[METRICS_TRACE_LEN] = {0};

	(void)state;
	for (uint8_t i = 1; i <= 3; i++) {
		id[0] = i;
		histo_observe(m, H_FSYNC, 0.003 + i / 1e6, id);
	}
	histo_observe(m, H_FSYNC, 0.004, NULL); /* nobody's: the other stays */
	text = render(m, METRICS_OPENMETRICS, &b);
	assert_non_null(strstr(text, "{le=\"0.005\"} 4 # "
				     "{trace_id=\"03000000000000000000000000000000\"} 0.003003 "));
	assert_int_equal(times(text, "trace_id"), 1);
	buf_free(&b);
	free(m);
}

/* ---- under load ---- */

struct load {
	struct metrics *m;
	pthread_barrier_t *start;
	atomic_uint *left;
	unsigned number;
};

/* All bytes of an id are the same, and its value says which: a torn exemplar shows. */
static double value_for(uint8_t byte)
{
	return 0.003 + byte / 1e6; /* all in the bucket up to 0.005 */
}

static void *record(void *arg)
{
	struct load *l = arg;
	uint8_t id[METRICS_TRACE_LEN];

	pthread_barrier_wait(l->start);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint8_t byte = (uint8_t)(l->number * 31 + i);

		memset(id, byte, sizeof(id));
		metric_add(l->m, M_ACCEPTED, 1);
		metric_add(l->m, M_ACTIVE, 1);
		metric_time(l->m, M_ACT_WRITE, 1000);
		histo_observe(l->m, H_FSYNC, value_for(byte), id);
		histo_observe(l->m, H_PART_WRITE, (i % 7) / 1e3, NULL);
		metric_sub(l->m, M_ACTIVE, 1);
	}
	atomic_fetch_sub(l->left, 1);
	return NULL;
}

/* The exemplar of the one bucket is whole, if it is there. */
static bool check_exemplar(const struct metrics *m)
{
	const size_t bucket = 5; /* up to 0.005 */
	struct exemplar x;

	if (!histo_exemplar(&m->histo[H_FSYNC], bucket, &x))
		return false;
	for (size_t j = 1; j < sizeof(x.trace_id); j++)
		assert_int_equal(x.trace_id[j], x.trace_id[0]);
	assert_true(x.value == value_for(x.trace_id[0]));
	return true;
}

static void nothing_is_lost_or_torn(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	struct load load[THREADS];
	pthread_t thread[THREADS];
	pthread_barrier_t start;
	atomic_uint left = THREADS;
	size_t whole = 0, rounds = 0;
	const char *text;

	(void)state;
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS + 1), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		load[i] = (struct load){m, &start, &left, i};
		assert_int_equal(pthread_create(&thread[i], NULL, record, &load[i]), 0);
	}
	pthread_barrier_wait(&start);
	do { /* the reader of the fixture insists on _count == +Inf */
		if (rounds++ % 10000 == 0)
			read_metrics(render(m, METRICS_OPENMETRICS, &b), true);
		whole += check_exemplar(m);
	} while (atomic_load(&left) > 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&start);
	assert_true(whole > 0);
	text = render(m, METRICS_TEXT, &b);
	assert_true(value_of(text, "pqc_connections_total") == THREADS * ROUNDS);
	assert_true(value_of(text, "active_transfers") == 0);
	assert_true(value_of(text, "pqc_fsync_duration_seconds_count") == THREADS * ROUNDS);
	assert_true(value_of(text, "pqc_part_write_seconds_count") == THREADS * ROUNDS);
	assert_int_equal(metric_get(m, M_ACT_WRITE), UINT64_C(1000) * THREADS * ROUNDS);
	assert_true(check_exemplar(m));
	buf_free(&b);
	free(m);
}

/* What a writer that was stopped half way left behind. */
static void an_exemplar_being_written_is_not_shown(void **state)
{
	static const uint8_t id[METRICS_TRACE_LEN] = {1};
	struct metrics *m = fresh();
	struct histo_exemplar *x = &m->histo[H_FSYNC].exemplar[0];
	struct exemplar out;

	(void)state;
	assert_false(histo_exemplar(&m->histo[H_FSYNC], 0, &out));
	histo_observe(m, H_FSYNC, 0.00005, id);
	assert_true(histo_exemplar(&m->histo[H_FSYNC], 0, &out));
	assert_memory_equal(out.trace_id, id, sizeof(id));
	atomic_fetch_add(&x->sequence, 1);
	atomic_store(&x->trace[1], UINT64_MAX);
	assert_false(histo_exemplar(&m->histo[H_FSYNC], 0, &out));
	histo_observe(m, H_FSYNC, 0.00006, id); /* counts, and leaves the exemplar to the other */
	assert_int_equal(atomic_load(&x->trace[1]), UINT64_MAX);
	assert_int_equal(atomic_load(&m->histo[H_FSYNC].bucket[0]), 2);
	free(m);
}

/* ---- build_info ---- */

static void labels_cannot_be_broken_out_of(void **state)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	struct metrics *m = fresh();
	char version[1000];
	const char *text;

	(void)state;
	metrics_info(m, "1\"} 5\nevil{x=\"\\", "K\xc3\xa9\xff\xc3",
		     "\x01\xe2\x80\xae"
		     "a\tb");
	text = render(m, METRICS_TEXT, &b);
	assert_non_null(strstr(text, "\npqc_build_info{version=\"1\\\"} 5\\nevil{x=\\\"\\\\\","
				     "suite=\"K\xc3\xa9??\",openssl=\"??a?b\"} 1\n"));
	read_metrics(text, false);
	memset(version, '"', sizeof(version) - 1); /* cut, but never within an escape */
	version[sizeof(version) - 1] = '\0';
	for (int shift = 0; shift < 3; shift++) {
		version[shift] = 'a';
		metrics_info(m, version + shift, version, version);
		text = render(m, METRICS_OPENMETRICS, &b);
		read_metrics(text, true);
		assert_true(strlen(m->info) < sizeof(m->info) - 1);
		assert_non_null(strstr(m->info, "\",openssl=\""));
	}
	buf_free(&b);
	free(m);
}

/* ---- Accept ---- */

static void formats_are_negotiated(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format metrics, windows;
	} cases[] = {
#define T METRICS_TEXT
#define O METRICS_OPENMETRICS
#define J METRICS_JSON
		{NULL, T, T},
		{"", T, T},
		{"*/*", T, T},
		{"text/html, application/xhtml+xml, */*;q=0.8", T, T},
		{"application/openmetrics-text", O, O},
		{"Application/OpenMetrics-Text; Version=1.0.0", O, O},
		{"application/openmetrics-text;version=0.0.1", O, O},
		{"application/openmetrics-text;version=2.0.0", T, T},
		{"application/openmetrics-text;version=2.0.0,application/json", T, J},
		{"application/openmetrics-text;q=0", T, T},
		{"application/openmetrics-text;q=0.000", T, T},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.5", O, O},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.501", T, T},
		{"application/openmetrics-text;q=0.5, */*;q=0.9", T, T},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.1,*/*;q=0.9", O, O},
		{"application/openmetrics-text;q=1.1", T, T},
		{"application/openmetrics-text;q=x", T, T},
		{"application/openmetrics-text;q=", T, T},
		{"application/openmetrics-text;q=0.1234", T, T},
		{"application/openmetrics-text;q=1.001", T, T},
		{"application/openmetrics-text\t; q=0.1", O, O},
		{"application/json", T, J},
		{"application/json, application/openmetrics-text;q=0.9", O, J},
		{"application/json;q=0.9, application/openmetrics-text", O, O},
		{"application/json;charset=utf-8, text/plain;q=0.5", T, J},
		{",,;;q=1,=,;", T, T},
		{"application/openmetrics-textual", T, T},
		/* Prometheus 3 */
		{"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
		 "application/openmetrics-text;version=0.0.1;q=0.5,"
		 "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
		 "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		 O, O},
	};
	const char *type;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (metrics_negotiate(cases[i].accept, &type) != cases[i].metrics ||
		    windows_negotiate(cases[i].accept, &type) != cases[i].windows)
			fail_msg("Accept: %s", cases[i].accept);
	}
	metrics_negotiate(NULL, &type);
	assert_string_equal(type, "text/plain; version=0.0.4; charset=utf-8");
	metrics_negotiate("application/openmetrics-text", &type);
	assert_string_equal(type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
	windows_negotiate("application/json", &type);
	assert_string_equal(type, "application/json");
}

/* ---- the process, the reference ---- */

static void the_process_is_measured(void **state)
{
	struct metrics *m = fresh();
	struct rlimit limit;
	uint64_t fds, cpu;
	int fd;

	(void)state;
	process_metrics_update(m);
	fds = metric_get(m, M_OPEN_FDS);
	cpu = metric_get(m, M_CPU);
	assert_true(fds >= 3 && cpu > 0);
	assert_true(metric_get(m, M_RESIDENT) > 100000);
	assert_true(metric_get(m, M_VIRTUAL) >= metric_get(m, M_RESIDENT));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur != RLIM_INFINITY)
		assert_int_equal(metric_get(m, M_MAX_FDS), limit.rlim_cur);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	process_metrics_update(m);
	assert_int_equal(metric_get(m, M_OPEN_FDS), fds + 1);
	assert_true(metric_get(m, M_CPU) >= cpu);
	close(fd);
	free(m);
}

static void the_reference_names_them_all(void **state)
{
	static const char *const windows[] = {"pqc_window_bytes_per_second",
					      "pqc_window_transfers_per_second",
					      "pqc_window_handshakes_per_second",
					      "pqc_window_quantile_seconds",
					      "pqc_busy_ratio",
					      "pqc_bottleneck"};
	struct buf b = BUF_INIT(65536);
	const char *text;
	char cell[160];
	size_t rows = COUNT(counters) + COUNT(gauges) + COUNT(histograms) + COUNT(windows);

	(void)state;
	assert_int_equal(metrics_reference(&b), 0);
	text = buf_cstr(&b);
	for (size_t i = 0; i < rows; i++) {
		const char *name = i < COUNT(counters) ? counters[i] : NULL;
		size_t j = i - COUNT(counters);

		if (name == NULL && j < COUNT(gauges))
			name = gauges[j];
		j -= COUNT(gauges);
		if (name == NULL && j < COUNT(histograms))
			name = histograms[j];
		if (name == NULL)
			name = windows[j - COUNT(histograms)];
		snprintf(cell, sizeof(cell), "\n| `%s` | ", name);
		assert_int_equal(times(text, cell), 1);
	}
	assert_int_equal(times(text, "\n| `"), rows);
	assert_non_null(strstr(
		text, "| direction (put, get); result (done, failed, interrupted, refused) |"));
	/* four cells in every row: no text has a bar in it */
	assert_int_equal(times(text, "|"), 5 * (rows + 6));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_family_is_there_once_with_its_labels),
		cmocka_unit_test(lines_follow_the_grammar),
		cmocka_unit_test(openmetrics_has_its_own_heads),
		cmocka_unit_test(numbers_are_written_exactly),
		cmocka_unit_test(what_is_not_set_is_absent),
		cmocka_unit_test(off_records_nothing),
		cmocka_unit_test(buckets_hold_what_is_not_above_them),
		cmocka_unit_test(bounds_ascend_and_are_written_canonically),
		cmocka_unit_test(the_last_observation_of_a_bucket_is_its_exemplar),
		cmocka_unit_test(nothing_is_lost_or_torn),
		cmocka_unit_test(an_exemplar_being_written_is_not_shown),
		cmocka_unit_test(labels_cannot_be_broken_out_of),
		cmocka_unit_test(formats_are_negotiated),
		cmocka_unit_test(the_process_is_measured),
		cmocka_unit_test(the_reference_names_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
