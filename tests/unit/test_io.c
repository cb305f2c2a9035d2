/* Sealing and opening between every kind of source and every kind of sink. */
#include "io_fixture.h"

#include <dirent.h>

static uint8_t *data;
static size_t cap;
static char dir[] = "/tmp/pqc-io-XXXXXX";

static int setup(void **state)
{
	cap = pqx_part_capacity(PART);
	data = noise(11 * cap + 77);
	return mkdtemp(dir) == NULL || people_new(state) != 0;
}

static int teardown(void **state)
{
	free(data);
	return rmdir(dir) != 0 || people_free(state) != 0;
}

static unsigned entries(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
	closedir(d);
	return n;
}

static const struct seal_opts seal_usual = {
	.part_size = PART, .threads = 3, .whom = {.raw_key = the_key}};
static const struct open_opts open_usual = {.threads = 3, .keys = {.raw_key = the_key}};

static struct bytes sealed_simply(size_t n)
{
	return seal_simply(data, n, NULL, FILES);
}

/* ---- every kind with every kind ---- */

static void seal_and_check(unsigned from, unsigned to, size_t n, unsigned threads)
{
	const struct bytes in = {data, n};
	uint8_t want[SHA256_LEN], got[SHA256_LEN];
	struct seal_opts o = seal_usual;
	struct bytes sealed, opened;
	struct seal_result r;
	struct err e = {0};
	struct ends x;

	ends_make(&x, dir, from, to, &in, OUT_MAX);
	o.from = &x.from;
	o.to = &x.to;
	o.threads = threads;
	o.sha256 = got;
	assert_int_equal(seal_stream(&o, &r, &e), 0);
	plain_sha256(data, n, want);
	assert_memory_equal(got, want, SHA256_LEN);
	assert_int_equal(r.plain_size, n);
	assert_int_equal(r.sealed_size, seal_size(suite_by_id(1), PART, n, false));
	assert_true(r.header.plain_size == (from == FROM_CALLBACK ? PQX_SIZE_UNKNOWN : n));
	sealed = ends_take(&x, r.sealed_size);
	assert_int_equal(open_simply(&sealed, FILES, &opened), 0);
	assert_int_equal(opened.n, n);
	assert_memory_equal(opened.p, data, n);
	free(opened.p);
	free(sealed.p);
	assert_int_equal(entries(), 0);
}

static void open_and_check(const struct bytes *sealed, unsigned from, unsigned to, size_t n,
			   unsigned threads)
{
	uint8_t want[SHA256_LEN], got[SHA256_LEN];
	struct open_opts o = open_usual;
	struct open_result r;
	struct bytes opened;
	struct err e = {0};
	struct ends x;

	ends_make(&x, dir, from, to, sealed, n);
	o.from = &x.from;
	o.to = &x.to;
	o.threads = threads;
	o.sha256 = got;
	assert_int_equal(open_stream(&o, &r, &e), 0);
	plain_sha256(data, n, want);
	assert_memory_equal(got, want, SHA256_LEN);
	assert_int_equal(r.plain_size, n);
	opened = ends_take(&x, n);
	assert_memory_equal(opened.p, data, n);
	free(opened.p);
	assert_int_equal(entries(), 0);
}

static void every_kind_with_every_kind(void **state)
{
	const size_t sizes[] = {0, 1, cap - 1, cap, cap + 1, 11 * cap + 77};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bytes sealed = sealed_simply(sizes[i]);

		for (unsigned from = 0; from < FROM_KINDS; from++) {
			for (unsigned to = 0; to < TO_KINDS; to++) {
				seal_and_check(from, to, sizes[i], 1 + (from + to) % 4);
				open_and_check(&sealed, from, to, sizes[i], 1 + (from + to) % 4);
			}
		}
		free(sealed.p);
	}
}

static void sizes_are_foretold(void **state)
{
	const struct bytes in = {data, 2 * cap + 1};

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		for (int is_signed = 0; is_signed < 2; is_signed++) {
			struct seal_call c = {.o = seal_usual};
			struct bytes out;

			c.o.suite = suite_by_id(suite);
			c.o.sign = is_signed ? alice[suite] : NULL;
			assert_int_equal(pass(seal_op, &c, FILES, &in, &out), 0);
			assert_int_equal(out.n, seal_size(c.o.suite, PART, in.n, is_signed));
			free(out.p);
		}
	}
	assert_true(seal_size(suite_by_id(1), PART + 1, 5, false) == PQX_SIZE_UNKNOWN);
	assert_true(seal_size(suite_by_id(1), 0, 5, false) == PQX_SIZE_UNKNOWN);
	assert_true(seal_size(suite_by_id(1), PART, PQX_SIZE_UNKNOWN, true) == PQX_SIZE_UNKNOWN);
	assert_true(seal_size(suite_by_id(1), PART, UINT64_MAX - 1, true) == PQX_SIZE_UNKNOWN);
}

/* ---- memory that is too small ---- */

/* Of what was untouched before. */
static bool untouched(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0xa5)
			return false;
	return true;
}

static void memory_too_small(void **state)
{
	const size_t n = 3 * cap + 9;
	struct bytes sealed = sealed_simply(n);
	uint8_t *room = malloc(sealed.n);

	(void)state;
	for (unsigned from = 0; from < FROM_KINDS; from++) {
		for (size_t short_of = 1; short_of < 2 * PART; short_of += PART) {
			struct seal_opts s = seal_usual;
			struct open_opts o = open_usual;
			struct seal_result sr;
			struct open_result or ;
			struct err e = {0};
			struct bytes b = {data, n};
			struct ends x;

			memset(room, 0xa5, sealed.n);
			ends_make(&x, dir, from, TO_CALLBACK, &b, 0);
			x.to = memory_sink(room, sealed.n - short_of);
			s.from = o.from = &x.from;
			s.to = o.to = &x.to;
			assert_int_equal(seal_stream(&s, &sr, &e), PQC_ETOOBIG);
			assert_int_equal(e.code, PQC_ETOOBIG);
			if (from == FROM_CALLBACK) {
				assert_true(sr.sealed_size == PQX_SIZE_UNKNOWN);
			} else {
				assert_int_equal(sr.sealed_size, sealed.n);
				assert_true(untouched(room, sealed.n));
			}
			assert_true(untouched(room + sealed.n - short_of, short_of));
			free(ends_take(&x, 0).p);

			memset(room, 0xa5, sealed.n);
			ends_make(&x, dir, from, TO_CALLBACK, &sealed, 0);
			x.to = memory_sink(room, n - short_of);
			assert_int_equal(open_stream(&o, & or, &e), PQC_ETOOBIG);
			assert_int_equal(or.plain_size, n);
			assert_true(untouched(room, n));
			free(ends_take(&x, 0).p);
		}
	}
	free(room);
	free(sealed.p);
}

/* Neither end of the stream nor its header tells the size before there is no room left. */
static void stream_into_too_small_memory(void **state)
{
	const struct bytes in = {data, 3 * cap};
	struct seal_call c = {.o = seal_usual};
	struct open_opts o = open_usual;
	uint8_t *room = malloc(3 * cap);
	struct bytes sealed, opened;
	struct open_result r;
	struct err e = {0};

	(void)state;
	assert_int_equal(pass(seal_op, &c, PIPES, &in, &sealed), 0);
	for (size_t n = 0; n <= 3 * cap; n += n < 2 * cap ? 2 * cap : cap - 1) {
		struct giver g = {.p = sealed.p, .n = sealed.n};
		const struct pqc_source from = giver_source(&g, PQC_SIZE_UNKNOWN);
		const struct pqc_sink to = memory_sink(room, n);

		memset(room, 0xa5, 3 * cap);
		o.from = &from;
		o.to = &to;
		assert_int_equal(open_stream(&o, &r, &e), PQC_ETOOBIG);
		assert_true(r.plain_size == PQX_SIZE_UNKNOWN);
		assert_true(untouched(room + n, 3 * cap - n));
	}
	opened = (struct bytes){room, 3 * cap};
	struct giver g = {.p = sealed.p, .n = sealed.n};
	const struct pqc_source from = giver_source(&g, PQC_SIZE_UNKNOWN);
	const struct pqc_sink to = memory_sink(room, opened.n);

	o.from = &from;
	o.to = &to;
	assert_int_equal(open_stream(&o, &r, &e), 0);
	assert_memory_equal(room, data, 3 * cap);
	free(room);
	free(sealed.p);
}

/* ---- associated data ---- */

static int open_with(const struct bytes *sealed, const void *data_, size_t n)
{
	struct open_call c = {.o = open_usual};
	struct bytes out;
	int r;

	c.o.keys.associated_data = data_;
	c.o.keys.associated_data_size = n;
	r = pass(open_op, &c, FILES, sealed, &out);
	free(out.p);
	return r;
}

static void associated_data(void **state)
{
	const struct public_identity *to[] = {identity_public(bob[1])};
	const struct bytes in = {data, 100};
	struct seal_call s = {.o = seal_usual};
	struct open_call c = {.o = open_usual};
	struct bytes bound, plain = sealed_simply(100), out;

	(void)state;
	s.o.whom.associated_data = "name\0v1";
	s.o.whom.associated_data_size = 7;
	s.o.whom.recipients = to;
	s.o.whom.nrecipients = 1;
	assert_int_equal(pass(seal_op, &s, FILES, &in, &bound), 0);
	assert_int_equal(open_with(&bound, "name\0v1", 7), 0);
	assert_int_equal(open_with(&bound, "name\0v2", 7), PQC_ENOKEY);
	assert_int_equal(open_with(&bound, "name\0v1", 8), PQC_ENOKEY);
	assert_int_equal(open_with(&bound, "name\0v1", 4), PQC_ENOKEY);
	assert_int_equal(open_with(&bound, "name\0v1", 0), PQC_ENOKEY);
	assert_int_equal(open_with(&bound, NULL, 0), PQC_ENOKEY);
	assert_int_equal(open_with(&bound, NULL, 1), PQC_EUSAGE);
	assert_int_equal(open_with(&plain, "", 0), 0);
	assert_int_equal(open_with(&plain, "", 1), PQC_ENOKEY);
	/* The other stanza is not bound. */
	c.o.keys = (struct open_keys){.identity = bob[1]};
	assert_int_equal(pass(open_op, &c, FILES, &bound, &out), 0);
	free(out.p);
	c.o.keys.associated_data = "x";
	c.o.keys.associated_data_size = 1;
	assert_int_equal(pass(open_op, &c, FILES, &bound, &out), PQC_EUSAGE);
	free(out.p);
	free(bound.p);
	s.o.whom.raw_key = NULL;
	assert_int_equal(pass(seal_op, &s, FILES, &in, &bound), PQC_EUSAGE);
	free(bound.p);
	free(plain.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_with_every_kind),
		cmocka_unit_test(sizes_are_foretold),
		cmocka_unit_test(memory_too_small),
		cmocka_unit_test(stream_into_too_small_memory),
		cmocka_unit_test(associated_data),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
