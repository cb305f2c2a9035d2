/* Sources and sinks that fail, and what a failure leaves behind. */
#include "io_fixture.h"

#include <dirent.h>

#include "base/sigpipe.h"

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

/* ---- functions that fail ---- */

/* A function's code is the call's, whichever call of it that was. */
static void callbacks_fail_at_each_call(void **state)
{
	static const int codes[] = {PQC_ETEMP, PQC_EINTERRUPTED, PQC_ECLOSED, -4711};
	const size_t n = 4 * cap + 5;
	struct bytes sealed = sealed_simply(n);
	uint8_t *room = malloc(sealed.n);

	(void)state;
	for (int opening = 0; opening < 2; opening++) {
		const struct bytes in = opening ? sealed : (struct bytes){data, n};
		unsigned reads = 0, writes = 0;
		int ok = 0;

		for (unsigned k = 1; ok < 2; k++) {
			const int code = codes[k % 4];
			struct giver g = {.p = in.p, .n = in.n, .code = code};
			struct taker t = {.p = room, .room = sealed.n, .code = code};
			const struct pqc_source from = giver_source(&g, PQC_SIZE_UNKNOWN);
			const struct pqc_sink to = taker_sink(&t);
			struct seal_opts s = seal_usual;
			struct open_opts o = open_usual;
			struct seal_result sr;
			struct open_result or ;
			struct err e = {0};
			bool writing = ok == 1;
			int r;

			s.from = o.from = &from;
			s.to = o.to = &to;
			g.fail_at = writing ? 0 : k;
			t.fail_at = writing ? k : 0;
			r = opening ? open_stream(&o, & or, &e) : seal_stream(&s, &sr, &e);
			if ((writing ? t.calls : g.calls) < k) { /* it was never called so often */
				assert_int_equal(r, 0);
				*(writing ? &writes : &reads) = k - 1;
				ok++;
				k = 0;
				continue;
			}
			assert_int_equal(r, code);
			assert_int_equal(e.code, code);
			assert_true(e.msg[0] != '\0');
		}
		assert_true(reads > 10);
		assert_int_equal(writes, opening ? 5 : 7); /* parts; head and tail */
	}
	free(room);
	free(sealed.p);
}

static int positive(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	return (int)n; /* what write(2) returns */
}

static int64_t too_much(void *arg, void *p, size_t n)
{
	(void)arg;
	memset(p, 0, n);
	return (int64_t)n + 1;
}

static void callbacks_break_the_rules(void **state)
{
	const struct pqc_source memory = memory_source(data, 10);
	const struct pqc_source much = {
		.kind = PQC_IO_CALLBACK, .read = too_much, .size = PQC_SIZE_UNKNOWN};
	const struct pqc_sink none = {.kind = PQC_IO_CALLBACK, .write = positive};
	struct seal_opts o = seal_usual;
	struct seal_result r;
	struct err e = {0};

	(void)state;
	o.from = &memory;
	o.to = &none;
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EFAIL);
	o.from = &much;
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EFAIL); /* the head comes first */
	struct taker t = {.p = malloc(OUT_MAX), .room = OUT_MAX};
	const struct pqc_sink to = taker_sink(&t);

	o.to = &to;
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EUSAGE);
	free(t.p);
}

static void other_sizes_than_declared(void **state)
{
	const size_t sizes[] = {0, 1, cap - 1, cap, cap + 1, 3 * cap, 3 * cap + 5};
	struct bytes sealed = sealed_simply(cap);
	uint8_t *room = malloc(OUT_MAX);

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t n = sizes[i / 2], declared = i & 1 ? n + 1 : n - 1;
		struct giver g = {.p = data, .n = n};
		struct taker t = {.p = room, .room = OUT_MAX};
		const struct pqc_source from = giver_source(&g, declared);
		const struct pqc_sink to = taker_sink(&t);
		struct seal_opts o = seal_usual;
		struct seal_result r;
		struct err e = {0};

		if (n == 0 && !(i & 1))
			continue;
		o.from = &from;
		o.to = &to;
		assert_int_equal(seal_stream(&o, &r, &e), PQC_ECHANGED);
	}
	for (int more = 0; more < 2; more++) {
		struct giver g = {.p = sealed.p, .n = sealed.n};
		struct taker t = {.p = room, .room = OUT_MAX};
		const struct pqc_source from = giver_source(&g, more ? sealed.n + 1 : sealed.n - 1);
		const struct pqc_sink to = taker_sink(&t);
		struct open_opts o = open_usual;
		struct open_result r;
		struct err e = {0};

		o.from = &from;
		o.to = &to;
		assert_int_equal(open_stream(&o, &r, &e), PQC_ECHANGED);
	}
	free(room);
	free(sealed.p);
}

/* ---- what is refused, and what is left behind ---- */

static void usage(void **state)
{
	const struct pqc_source good = memory_source(data, 10);
	const struct pqc_source sources[] = {
		{0},
		{.kind = (enum pqc_io)9},
		{.kind = PQC_IO_PATH},
		{.kind = PQC_IO_FD, .fd = -1},
		{.kind = PQC_IO_MEMORY, .size = 1},
		{.kind = PQC_IO_CALLBACK},
	};
	const struct pqc_sink fine = memory_sink(data + cap, 10 * cap);
	const struct pqc_sink sinks[] = {
		{0},
		{.kind = (enum pqc_io)9},
		{.kind = PQC_IO_PATH},
		{.kind = PQC_IO_FD, .fd = -1},
		{.kind = PQC_IO_MEMORY, .size = 1},
		{.kind = PQC_IO_CALLBACK},
		memory_sink(data + 9, cap), /* over the source's last byte */
	};
	struct seal_opts o = seal_usual;
	struct seal_result r;
	struct err e = {0};

	(void)state;
	o.to = &fine;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		o.from = &sources[i];
		assert_int_equal(seal_stream(&o, &r, &e), PQC_EUSAGE);
	}
	o.from = NULL;
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EUSAGE);
	o.from = &good;
	for (size_t i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++) {
		o.to = &sinks[i];
		assert_int_equal(seal_stream(&o, &r, &e), PQC_EUSAGE);
	}
	o.to = NULL;
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EUSAGE);
}

static void paths(void **state)
{
	struct pqc_source from = memory_source(data, 10);
	struct seal_opts o = seal_usual;
	struct seal_result r;
	struct err e = {0};
	struct pqc_sink to;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir);
	to = (struct pqc_sink){.kind = PQC_IO_PATH, .path = path};
	o.from = &from;
	o.to = &to;
	assert_int_equal(seal_stream(&o, &r, &e), 0);
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EEXIST);
	assert_null(strstr(e.msg, "--")); /* who calls may know of no options */
	to.replace = 1;
	from.size = 11;
	assert_int_equal(seal_stream(&o, &r, &e), 0);
	from = (struct pqc_source){.kind = PQC_IO_PATH, .path = path};
	assert_int_equal(seal_stream(&o, &r, &e), 0);
	assert_int_equal(r.plain_size, seal_size(suite_by_id(1), PART, 11, false));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(seal_stream(&o, &r, &e), PQC_ENOTFOUND);
	from.path = dir;
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EIO);

	/* What fails leaves nothing of its name, and nothing else. */
	struct giver g = {.p = data, .n = 4 * cap, .fail_at = 9, .code = PQC_EIO};

	from = giver_source(&g, PQC_SIZE_UNKNOWN);
	assert_int_equal(seal_stream(&o, &r, &e), PQC_EIO);
	assert_int_equal(entries(), 0);
}

/* ---- SIGPIPE ---- */

static bool sigpipe_pending(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
}

/* With the signal's default a write that raised it would end this program. */
static void nobody_reads(void **state)
{
	const struct pqc_source from = memory_source(data, 8 * cap);
	struct seal_opts o = seal_usual;
	struct sigpipe outer, inner;
	struct seal_result r;
	struct err e = {0};
	struct pqc_sink to;
	sigset_t set;
	int fds[2];

	(void)state;
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	to = to_fd(fds[1]);
	o.from = &from;
	o.to = &to;
	for (o.threads = 1; o.threads <= 4; o.threads++) {
		sigpipe_hold(&outer);
		sigpipe_hold(&inner);
		assert_int_equal(seal_stream(&o, &r, &e), PQC_ECLOSED);
		sigpipe_release(&inner);
		sigpipe_release(&outer);
		assert_false(sigpipe_pending());
	}
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	assert_int_equal(sigismember(&set, SIGPIPE), 0);

	/* What a program has blocked, and what waits for it, stay. */
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	assert_int_equal(raise(SIGPIPE), 0);
	sigpipe_hold(&outer);
	assert_int_equal(write(fds[1], "x", 1), -1);
	sigpipe_release(&outer);
	assert_true(sigpipe_pending());
	assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callbacks_fail_at_each_call),
		cmocka_unit_test(callbacks_break_the_rules),
		cmocka_unit_test(other_sizes_than_declared),
		cmocka_unit_test(usage),
		cmocka_unit_test(paths),
		cmocka_unit_test(nobody_reads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
