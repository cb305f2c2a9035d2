/* Sealing and opening whole containers: sizes, threads, pipes, keys, and the world outside. */
#include "sealed_io.h"

static uint8_t *data;
static size_t cap;

static int setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	cap = pqx_part_capacity(PART);
	data = noise(4 * cap);
	return people_new(state);
}

static int teardown(void **state)
{
	free(data);
	return people_free(state);
}

struct meddler {
	int fd;
	enum { APPEND, CUT, TOUCH, NOTHING } how;
	uint64_t last, total;
	int calls, stop_at;
};

static int meddle(void *arg, uint64_t done, uint64_t total)
{
	static const struct timespec times[2] = {{1000, 1}, {1000, 1}};
	struct meddler *m = arg;

	assert_true(done >= m->last && done <= 4 * cap);
	m->last = done;
	m->total = total;
	if (m->calls++ == 0 && m->how == APPEND)
		assert_int_equal(file_pwrite(m->fd, "x", 1, 4 * cap, NULL), 0);
	else if (m->calls == 1 && m->how == CUT)
		assert_int_equal(ftruncate(m->fd, (off_t)cap + 1), 0);
	else if (m->calls == 1 && m->how == TOUCH)
		assert_int_equal(futimens(m->fd, times), 0);
	return m->stop_at != 0 && m->calls >= m->stop_at;
}

/* What four threads seal, one opens, and the reverse; files and pipes in every combination. */
static void sizes_threads_and_pipes(void **state)
{
	const size_t sizes[] = {0, 1, 16383, 16384, cap - 1, cap, cap + 1, 3 * cap, 3 * cap + 5};

	(void)state;
	for (size_t i = 0; i < 4 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t n = sizes[i / 4];
		const struct bytes in = {data, n};
		struct bytes sealed, opened;
		struct seal_call s = {.o = {.part_size = PART, .whom = {.raw_key = the_key}}};

		s.o.threads = i & 1 ? 4 : 1;
		assert_int_equal(pass(seal_op, &s, (enum via)(i % 4), &in, &sealed), 0);
		assert_int_equal(s.r.plain_size, n);
		assert_int_equal(s.r.sealed_size, sealed.n);
		assert_int_equal(s.r.n, n == 0 ? 1 : (n + cap - 1) / cap);
		assert_true(s.r.header.plain_size == (i & PIPE_IN ? PQX_SIZE_UNKNOWN : n));
		for (int via = FILES; via <= PIPES; via++) {
			struct open_call o = {.o = {.keys = {.raw_key = the_key}}};

			o.o.threads = i & 1 ? 1 : 4;
			assert_int_equal(pass(open_op, &o, (enum via)via, &sealed, &opened), 0);
			assert_int_equal(opened.n, n);
			assert_memory_equal(opened.p, data, n);
			assert_int_equal(o.r.plain_size, n);
			assert_int_equal(o.r.n, s.r.n);
			free(opened.p);
		}
		free(sealed.p);
	}
}

/* 300 parts by 4 threads: the ring wraps, the order holds. */
static void many_parts(void **state)
{
	const size_t n = 30 * cap + 77;
	uint8_t *big = noise(n);
	struct bytes sealed, opened;

	(void)state;
	for (int via = FILES; via <= PIPES; via++) {
		struct seal_call s = {.o = {.part_size = PART, .whom = {.raw_key = the_key}}};
		struct open_call o = {.o = {.keys = {.raw_key = the_key}, .threads = 3}};
		const struct bytes in = {big, n};

		s.o.threads = 5;
		assert_int_equal(pass(seal_op, &s, (enum via)via, &in, &sealed), 0);
		assert_int_equal(pass(open_op, &o, (enum via)via, &sealed, &opened), 0);
		assert_int_equal(opened.n, n);
		assert_memory_equal(opened.p, big, n);
		free(sealed.p);
		free(opened.p);
	}
	free(big);
}

static void every_kind_of_key(void **state)
{
	static const struct argon2_params cheap = {8192, 1, 1};
	static const struct kek kek = {.id = "0123456789abcde", .version = 1, .key = {3}};
	const struct public_identity *both[] = {identity_public(alice[1]), identity_public(bob[2])};
	const struct bytes in = {data, cap + 1};
	const struct {
		struct seal_to to;
		struct open_keys keys;
		int want;
	} cases[] = {
		{{.recipients = both, .nrecipients = 2}, {.identity = alice[1]}, 0},
		{{.recipients = both, .nrecipients = 2}, {.identity = bob[2]}, 0},
		{{.recipients = both, .nrecipients = 2}, {.identity = bob[1]}, PQC_ENOKEY},
		{{.recipients = both, .nrecipients = 2}, {.raw_key = the_key}, PQC_ENOKEY},
		{{.recipients = both, .nrecipients = 2}, {.passphrase = "x"}, PQC_ENOKEY},
		{{.recipients = both, .nrecipients = 2}, {0}, PQC_ENOKEY},
		{{.recipients = both, .nrecipients = 2, .raw_key = the_key, .kek = &kek},
		 {.kek = &kek},
		 0},
		{{.recipients = both, .nrecipients = 2, .raw_key = the_key},
		 {.identity = bob[1], .raw_key = the_key},
		 0},
		{{.passphrase = "pass", .argon = &cheap}, {.passphrase = "pass"}, 0},
		{{.passphrase = "pass", .argon = &cheap},
		 {.identity = bob[1], .raw_key = the_key, .kek = &kek, .passphrase = "pass"},
		 0},
		{{.passphrase = "pass", .argon = &cheap}, {.passphrase = "no"}, PQC_EPASSPHRASE},
		{{.passphrase = "pass", .argon = &cheap}, {.identity = bob[1]}, PQC_EPASSPHRASE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seal_call s = {.o = {.part_size = PART, .whom = cases[i].to, .threads = 1}};
		struct open_call o = {.o = {.keys = cases[i].keys, .threads = 1}};
		struct bytes sealed, opened;

		assert_int_equal(pass(seal_op, &s, FILES, &in, &sealed), 0);
		assert_int_equal(s.r.header.flags, cases[i].to.kek == NULL ? PQX_FLAG_E2E : 0);
		assert_int_equal(pass(open_op, &o, FILES, &sealed, &opened), cases[i].want);
		assert_int_equal(opened.n, cases[i].want == 0 ? in.n : 0);
		if (cases[i].want == 0)
			assert_memory_equal(opened.p, data, in.n);
		free(sealed.p);
		free(opened.p);
	}
}

static void usage(void **state)
{
	static const struct argon2_params weak = {1024, 1, 1};
	const struct public_identity *to[33];
	const struct bytes in = {data, 10};
	const struct {
		struct seal_opts o;
		int want;
	} cases[] = {
		{{.part_size = PART}, PQC_EUSAGE}, /* for nobody */
		{{.part_size = 65537, .whom = {.raw_key = the_key}}, PQC_EUSAGE},
		{{.part_size = 2 * PQX_PART_MAX, .whom = {.raw_key = the_key}}, PQC_EUSAGE},
		{{.whom = {.raw_key = the_key, .passphrase = "x"}}, PQC_EUSAGE},
		{{.whom = {.passphrase = ""}}, PQC_EUSAGE},
		{{.whom = {.passphrase = "x", .argon = &weak}}, PQC_EUSAGE},
		{{.whom = {.raw_key = the_key}, .suite = suite_by_id(2), .sign = alice[1]},
		 PQC_EUSAGE},
		{{.whom = {.recipients = to, .nrecipients = 33}}, PQC_ETOOBIG},
	};
	struct public_identity many[33];

	(void)state;
	for (int i = 0; i < 33; i++) {
		many[i] = *identity_public(alice[1]);
		many[i].id[0] = (uint8_t)i;
		to[i] = &many[i];
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seal_call s = {.o = cases[i].o};
		struct bytes out;

		assert_int_equal(pass(seal_op, &s, FILES, &in, &out), cases[i].want);
		assert_int_equal(s.e.code, cases[i].want);
		assert_int_equal(out.n, 0);
		free(out.p);
	}
}

static void senders(void **state)
{
	const struct bytes in = {data, 2 * cap};
	struct bytes sealed, opened;

	(void)state;
	for (unsigned suite = 1; suite <= 2; suite++) {
		struct seal_call s = {.o = {.part_size = PART,
					    .sign = alice[suite],
					    .whom = {.raw_key = the_key},
					    .time = 1234}};

		assert_int_equal(pass(seal_op, &s, FILES, &in, &sealed), 0);
		for (int via = FILES; via <= PIPES; via++) {
			struct open_call o = {.o = {.keys = {.raw_key = the_key}}};

			o.o.expected_sender = identity_public(alice[suite])->id;
			assert_int_equal(pass(open_op, &o, (enum via)via, &sealed, &opened), 0);
			assert_memory_equal(o.r.header.sender_id, o.o.expected_sender, ID_LEN);
			assert_int_equal(o.r.header.suite->id, suite);
			assert_int_equal(o.r.time, 1234);
			free(opened.p);
			o.o.expected_sender = identity_public(bob[suite])->id;
			assert_int_equal(pass(open_op, &o, (enum via)via, &sealed, &opened),
					 PQC_EREFUSED);
			assert_int_equal(opened.n, 0);
			free(opened.p);
		}
		free(sealed.p);
	}
	sealed = seal_simply(data, 10, NULL, FILES);
	struct open_call o = {.o = {.keys = {.raw_key = the_key}}};

	o.o.expected_sender = identity_public(alice[1])->id;
	assert_int_equal(pass(open_op, &o, FILES, &sealed, &opened), PQC_EREFUSED);
	free(opened.p);
	free(sealed.p);
}

static void source_changes(void **state)
{
	(void)state;
	for (int how = APPEND; how <= NOTHING; how++) {
		struct meddler m = {.how = how, .fd = memory_file(data, 4 * cap)};
		const struct pqc_source from = from_fd(m.fd);
		const struct pqc_sink to = to_fd(memory_file("", 0));
		struct seal_opts o = {.from = &from,
				      .to = &to,
				      .part_size = PART,
				      .threads = 1,
				      .whom = {.raw_key = the_key},
				      .progress = meddle,
				      .arg = &m};
		struct seal_result r;
		struct err e = {0};

		assert_int_equal(seal_stream(&o, &r, &e), how == NOTHING ? 0 : PQC_ECHANGED);
		close(from.fd);
		close(to.fd);
	}
}

static void progress_and_cancel(void **state)
{
	const struct bytes in = {data, 4 * cap};
	struct bytes sealed, out;

	(void)state;
	for (int via = FILES; via <= PIPES; via++) {
		struct meddler m = {.how = NOTHING};
		struct seal_call s = {.o = {.part_size = PART,
					    .threads = 3,
					    .whom = {.raw_key = the_key},
					    .progress = meddle,
					    .arg = &m}};
		struct open_call o = {.o = {.keys = {.raw_key = the_key},
					    .threads = 3,
					    .progress = meddle,
					    .arg = &m}};

		assert_int_equal(pass(seal_op, &s, (enum via)via, &in, &sealed), 0);
		assert_true(m.last == 4 * cap);
		assert_true(m.total == (via & PIPE_IN ? PQX_SIZE_UNKNOWN : 4 * cap));
		m.last = 0;
		assert_int_equal(pass(open_op, &o, (enum via)via, &sealed, &out), 0);
		assert_true(m.last == 4 * cap);
		free(out.p);
		m = (struct meddler){.how = NOTHING, .stop_at = 2};
		assert_int_equal(pass(open_op, &o, (enum via)via, &sealed, &out), PQC_EINTERRUPTED);
		free(out.p);
		m = (struct meddler){.how = NOTHING, .stop_at = 1};
		free(sealed.p);
		assert_int_equal(pass(seal_op, &s, (enum via)via, &in, &sealed), PQC_EINTERRUPTED);
		free(sealed.p);
	}
}

static void output_fails(void **state)
{
	const struct {
		const char *path;
		int want;
	} cases[] = {{"/dev/full", PQC_EQUOTA}, {NULL, PQC_ECLOSED}};

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct pqc_source from = from_fd(memory_file(data, 4 * cap));
		struct pqc_sink to = to_fd(-1);
		struct seal_opts o = {.from = &from,
				      .to = &to,
				      .part_size = PART,
				      .threads = 4,
				      .whom = {.raw_key = the_key}};
		struct seal_result r;
		struct err e = {0};
		int fds[2];

		if (cases[i].path != NULL) {
			to.fd = open(cases[i].path, O_WRONLY | O_CLOEXEC);
		} else { /* a pipe whose reader went away */
			assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
			close(fds[0]);
			to.fd = fds[1];
		}
		assert_true(to.fd >= 0);
		assert_int_equal(seal_stream(&o, &r, &e), cases[i].want);
		close(from.fd);
		close(to.fd);
	}
}

/* From the current position on, and left behind the end; O_APPEND appends. */
static void positions(void **state)
{
	struct pqc_source plain, sealed;
	struct pqc_sink to, back;
	struct seal_opts o = {
		.from = &plain, .to = &to, .part_size = PART, .whom = {.raw_key = the_key}};
	struct open_opts p = {.from = &sealed, .to = &back, .keys = {.raw_key = the_key}};
	struct open_result opened;
	struct seal_result r;
	struct err e = {0};
	struct bytes b;

	(void)state;
	for (int append = 0; append < 2; append++) {
		plain = from_fd(memory_file(data, 3 * cap));
		to = to_fd(memory_file("before", 6));
		assert_true(lseek(plain.fd, 1000, SEEK_SET) == 1000);
		assert_true(lseek(to.fd, append ? 0 : 6, SEEK_SET) >= 0);
		if (append)
			assert_int_equal(fcntl(to.fd, F_SETFL, O_APPEND), 0);
		assert_int_equal(seal_stream(&o, &r, &e), 0);
		assert_int_equal(r.plain_size, 3 * cap - 1000);
		assert_int_equal(lseek(to.fd, 0, SEEK_CUR), 6 + (off_t)r.sealed_size);
		assert_int_equal(lseek(to.fd, 0, SEEK_END), 6 + (off_t)r.sealed_size);
		assert_true(lseek(to.fd, 6, SEEK_SET) == 6);
		sealed = from_fd(to.fd);
		back = to_fd(memory_file("", 0));
		assert_int_equal(open_stream(&p, &opened, &e), 0);
		b = file_bytes(back.fd);
		assert_int_equal(b.n, 3 * cap - 1000);
		assert_memory_equal(b.p, data + 1000, b.n);
		free(b.p);
		close(back.fd);
		close(plain.fd);
		close(to.fd);
	}
}

/* A file of /proc says that it has 0 bytes. */
static void proc_file(void **state)
{
	const struct pqc_source from = from_fd(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	const struct pqc_sink to = to_fd(memory_file("", 0));
	struct seal_opts o = {.from = &from, .to = &to, .whom = {.raw_key = the_key}};
	struct seal_result r;
	struct err e = {0};

	(void)state;
	assert_true(from.fd >= 0);
	assert_int_equal(seal_stream(&o, &r, &e), 0);
	assert_true(r.plain_size > 100);
	close(from.fd);
	close(to.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_threads_and_pipes),
		cmocka_unit_test(many_parts),
		cmocka_unit_test(every_kind_of_key),
		cmocka_unit_test(usage),
		cmocka_unit_test(senders),
		cmocka_unit_test(source_changes),
		cmocka_unit_test(progress_and_cancel),
		cmocka_unit_test(output_fails),
		cmocka_unit_test(positions),
		cmocka_unit_test(proc_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
