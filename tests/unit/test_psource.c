/* What a put reads: parts of memory and of streams, read again, told from others. */
#include "io_fixture.h"

#include "client/source.h"

#define N (3 * PART + 5)

static uint8_t *data;
static struct client_opts opts;
static struct call call;

static int setup(void **state)
{
	(void)state;
	data = noise(40 * PART);
	call.o = &opts;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(data);
	return 0;
}

static struct psource *source(const struct pqc_source *from, bool resume)
{
	const struct put_opts o = {.from = from, .resume_memory = resume};
	struct psource *s;
	struct err e = {0};

	assert_int_equal(psource_open(&s, &o, PART, &call, &e), 0);
	return s;
}

static int read_part(struct psource *s, uint64_t i, const uint8_t **p, size_t *n, bool *final)
{
	static uint8_t room[PART];
	struct err e = {0};

	return psource_read(s, i, room, p, n, final, &e);
}

static void fingerprint_of(const void *p, size_t n, bool resume, uint8_t out[32])
{
	const struct pqc_source from = memory_source(p, n);
	struct psource *s = source(&from, resume);

	assert_int_equal(psource_is_lasting(s), resume);
	memcpy(out, psource_fingerprint(s), 32);
	psource_free(s);
}

/* The same bytes wherever they are; one bit, one byte more, one less: others. */
static void memory_is_known_by_its_bytes(void **state)
{
	uint8_t *copy = noise(40 * PART), a[32], b[32];

	(void)state;
	fingerprint_of(data, N, true, a);
	fingerprint_of(copy, N, true, b);
	assert_memory_equal(a, b, 32);
	for (size_t bit = 0; bit < 8 * N; bit += 8191) {
		flip(copy, bit);
		fingerprint_of(copy, N, true, b);
		assert_memory_not_equal(a, b, 32);
		flip(copy, bit);
	}
	flip(copy, 8 * N - 1);
	fingerprint_of(copy, N, true, b);
	assert_memory_not_equal(a, b, 32);
	flip(copy, 8 * N - 1);
	fingerprint_of(copy, N + 1, true, b);
	assert_memory_not_equal(a, b, 32);
	fingerprint_of(copy, N - 1, true, b);
	assert_memory_not_equal(a, b, 32);
	memset(copy, 0, 2);
	fingerprint_of(copy, 0, true, a);
	fingerprint_of(copy, 1, true, b);
	assert_memory_not_equal(a, b, 32);
	fingerprint_of(NULL, 0, true, b);
	assert_memory_equal(a, b, 32);
	/* What no later call takes up is like nothing, itself included. */
	fingerprint_of(data, N, false, a);
	fingerprint_of(data, N, false, b);
	assert_memory_not_equal(a, b, 32);
	free(copy);
}

static void parts_of_memory(void **state)
{
	const struct pqc_source from = memory_source(data, N);
	const size_t order[] = {3, 0, 2, 1, 0, 3};
	struct psource *s = source(&from, false);
	const uint8_t *p;
	bool final;
	size_t n;

	(void)state;
	assert_int_equal(psource_size(s), N);
	assert_false(psource_is_stream(s));
	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
		assert_int_equal(read_part(s, order[k], &p, &n, &final), 0);
		assert_ptr_equal(p, data + order[k] * PART); /* not a copy */
		assert_int_equal(n, order[k] < 3 ? PART : 5);
		assert_int_equal(final, order[k] == 3);
	}
	psource_free(s);
}

/* A function is read in order; what is not released can be read again. */
static void parts_of_a_function(void **state)
{
	const size_t sizes[] = {0, 1, PART - 1, PART, PART + 1, 20 * PART, 20 * PART + 1};

	(void)state;
	for (size_t k = 0; k < 2 * sizeof(sizes) / sizeof(sizes[0]); k++) {
		const size_t size = sizes[k / 2];
		struct giver g = {.p = data, .n = size};
		const struct pqc_source from = giver_source(&g, k & 1 ? size : PQC_SIZE_UNKNOWN);
		struct psource *s = source(&from, false);
		const uint64_t parts = size == 0 ? 1 : (size + PART - 1) / PART;
		const uint8_t *p;
		bool final;
		size_t n;

		assert_true(psource_is_stream(s));
		assert_false(psource_is_lasting(s));
		assert_true(psource_size(s) == from.size);
		for (uint64_t i = 0; i < parts; i++) {
			for (uint64_t back = i < 3 ? i : 3; back <= i; back--) {
				const uint64_t at = i - back;

				assert_int_equal(read_part(s, at, &p, &n, &final), 0);
				assert_int_equal(n, at + 1 < parts ? PART : size - at * PART);
				assert_memory_equal(p, data + at * PART, n);
				assert_int_equal(final, at + 1 == parts);
			}
			if (i >= 3)
				psource_release(s, i - 2);
		}
		assert_int_equal(read_part(s, parts, &p, &n, &final), PQC_ENOTFOUND);
		psource_free(s);
	}
}

static void released_parts_are_gone(void **state)
{
	struct giver g = {.p = data, .n = 40 * PART};
	const struct pqc_source from = giver_source(&g, PQC_SIZE_UNKNOWN);
	struct psource *s = source(&from, false);
	const uint8_t *p;
	bool final;
	size_t n;

	(void)state;
	for (uint64_t i = 0; i < SOURCE_KEEP; i++)
		assert_int_equal(read_part(s, i, &p, &n, &final), 0);
	assert_int_equal(read_part(s, SOURCE_KEEP, &p, &n, &final), PQC_EFAIL);
	psource_release(s, 1);
	assert_int_equal(read_part(s, SOURCE_KEEP, &p, &n, &final), 0);
	assert_int_equal(read_part(s, 0, &p, &n, &final), PQC_EFAIL);
	assert_int_equal(read_part(s, SOURCE_KEEP + 2, &p, &n, &final), PQC_EFAIL);
	psource_free(s);
}

static void other_sizes_than_declared(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		struct giver g = {.p = data, .n = 2 * PART};
		const struct pqc_source from = giver_source(&g, 2 * PART - 1 + 2 * (size_t)more);
		struct psource *s = source(&from, false);
		const uint8_t *p;
		bool final;
		size_t n;

		assert_int_equal(read_part(s, 0, &p, &n, &final), 0);
		assert_int_equal(read_part(s, 1, &p, &n, &final), PQC_ECHANGED);
		psource_free(s);
	}
}

static void codes_are_passed_on(void **state)
{
	static const int codes[] = {PQC_ETEMP, PQC_ECLOSED, PQC_ETIMEOUT, -4711};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct giver g = {.p = data, .n = N, .fail_at = 2, .code = codes[i]};
		const struct pqc_source from = giver_source(&g, PQC_SIZE_UNKNOWN);
		struct psource *s = source(&from, false);
		const uint8_t *p;
		bool final;
		size_t n;

		assert_int_equal(read_part(s, 0, &p, &n, &final), codes[i]);
		psource_free(s);
	}
}

/* Nothing comes, and nobody wants it any more. */
static void a_pipe_that_is_called_off(void **state)
{
	struct pqc_source from;
	struct psource *s;
	const uint8_t *p;
	bool final;
	int fds[2];
	size_t n;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	from = from_fd(fds[0]);
	s = source(&from, false);
	atomic_store(&call.off, true);
	assert_int_equal(read_part(s, 0, &p, &n, &final), PQC_EINTERRUPTED);
	atomic_store(&call.off, false);
	psource_free(s);
	assert_int_equal(write(fds[1], "x", 1), 1); /* the caller's, and open */
	close(fds[0]);
	close(fds[1]);
}

/* The first failure of the caller's own end is what a call fails with, whatever the connection did. */
static void reasons(void **state)
{
	struct call c = {.o = &opts};
	struct err first = {PQC_ETEMP, "first"}, second = {PQC_EIO, "second"}, e = {0};

	(void)state;
	assert_int_equal(call_reason(&c, PQC_ECLOSED, &e), PQC_ECLOSED);
	assert_int_equal(call_spoil(&c, PQC_ETEMP, &first), PQC_ETEMP);
	assert_int_equal(call_spoil(&c, PQC_EIO, &second), PQC_EIO);
	assert_int_equal(call_reason(&c, PQC_ECLOSED, &e), PQC_ETEMP);
	assert_string_equal(e.msg, "first");
	opts.retry_ms = 60000;
	retry_init(&c.retry, &opts);
	assert_int_equal(call_retry(&c, PQC_ETEMP, &e), PQC_ETEMP);
	opts.retry_ms = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_known_by_its_bytes),
		cmocka_unit_test(parts_of_memory),
		cmocka_unit_test(parts_of_a_function),
		cmocka_unit_test(released_parts_are_gone),
		cmocka_unit_test(other_sizes_than_declared),
		cmocka_unit_test(codes_are_passed_on),
		cmocka_unit_test(a_pipe_that_is_called_off),
		cmocka_unit_test(reasons),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
