/* libpqc, containers: every kind of source and sink, key, end; and what stays behind. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "lib_fixture.h"

#define PART 65536u
#define CAP  65416u /* bytes that a part carries */

static uint8_t key[PQC_KEY_SIZE] = "thirty-two bytes of a raw key...";
static struct pqc_identity *alice, *bob, *big;
static struct pqc_public *alice_pub, *bob_pub, *big_pub;

static int people(void **state)
{
	(void)state;
	ok(pqc_identity_generate(NULL, &alice, &e));
	ok(pqc_identity_generate(NULL, &bob, &e));
	ok(pqc_identity_generate("Kyber1024", &big, &e));
	ok(pqc_identity_public(alice, NULL, &alice_pub, &e));
	ok(pqc_identity_public(bob, NULL, &bob_pub, &e));
	ok(pqc_identity_public(big, NULL, &big_pub, &e));
	return 0;
}

static int people_free(void **state)
{
	(void)state;
	pqc_public_free(alice_pub);
	pqc_public_free(bob_pub);
	pqc_public_free(big_pub);
	pqc_identity_free(alice);
	pqc_identity_free(bob);
	pqc_identity_free(big);
	return 0;
}

/* Seal p[n] in memory with o; the container is the caller's. */
static uint8_t *sealed(const struct pqc_seal_options *o, const void *p, size_t n, size_t *size)
{
	const size_t room = (size_t)pqc_sealed_size(o->suite, n, o->part_size, o->sign != NULL);
	uint8_t *out = malloc(room);
	struct pqc_source from = from_memory(p, n);
	struct pqc_sink to = to_memory(out, room);
	struct pqc_seal_result r;

	assert_non_null(out);
	ok(pqc_seal(&from, &to, o, NULL, &r, &e));
	assert_int_equal(r.sealed_size, room);
	assert_int_equal(r.size, n);
	*size = room;
	return out;
}

/* Open p[n] with o, expecting plain[m] or a code. */
static int opens(const struct pqc_open_options *o, const void *p, size_t n, const void *plain,
		 size_t m, struct pqc_open_result *r)
{
	uint8_t *out = malloc(m + 1);
	struct pqc_source from = from_memory(p, n);
	struct pqc_sink to = to_memory(out, m);
	int rc;

	assert_non_null(out);
	rc = pqc_open(&from, &to, o, NULL, r, &e);
	if (rc == 0)
		assert_memory_equal(out, plain, m);
	free(out);
	return rc;
}

/* ---- sources and sinks ---- */

enum kind { PATH, FILE_FD, PIPE_FD, MEMORY, TAPE, TAPE_UNKNOWN, KINDS };

/* The other end of a pipe, which a thread feeds or drains. */
struct pump {
	pthread_t thread;
	int fd;
	uint8_t *p;
	size_t n;
};

static void *feed(void *arg)
{
	struct pump *p = arg;
	size_t done = 0;
	ssize_t k;

	while (done < p->n && (k = write(p->fd, p->p + done, p->n - done)) > 0)
		done += (size_t)k;
	close(p->fd);
	return NULL;
}

static void *drain(void *arg)
{
	struct pump *p = arg;
	size_t done = 0;
	ssize_t k;

	while ((k = read(p->fd, p->p + done, p->n - done)) > 0)
		done += (size_t)k;
	p->n = done;
	close(p->fd);
	return NULL;
}

struct ends {
	struct pump in, out;
	struct tape in_tape, out_tape;
	int in_fd, out_fd;
	struct pqc_source from;
	struct pqc_sink to;
	uint8_t *room;
	size_t room_size;
};

static void begin_source(struct ends *x, enum kind kind, uint8_t *p, size_t n)
{
	int fds[2];

	x->in_fd = -1;
	x->in_tape = (struct tape){.p = p, .n = n, .most = 7777};
	switch (kind) {
	case PATH:
		write_file(at("in"), p, n);
		x->from = from_path(at("in"));
		break;
	case FILE_FD:
		write_file(at("in"), p, n);
		x->in_fd = open(at("in"), O_RDONLY | O_CLOEXEC);
		x->from = (struct pqc_source){.kind = PQC_IO_FD, .fd = x->in_fd};
		break;
	case PIPE_FD:
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		x->in = (struct pump){.fd = fds[1], .p = p, .n = n};
		assert_int_equal(pthread_create(&x->in.thread, NULL, feed, &x->in), 0);
		x->in_fd = fds[0];
		x->from = (struct pqc_source){.kind = PQC_IO_FD, .fd = x->in_fd};
		break;
	case MEMORY:
		x->from = from_memory(p, n);
		break;
	default:
		x->from = from_tape(&x->in_tape, kind == TAPE ? n : PQC_SIZE_UNKNOWN);
	}
}

static void begin_sink(struct ends *x, enum kind kind, size_t room)
{
	int fds[2];

	x->out_fd = -1;
	x->room = calloc(1, room + 1);
	x->room_size = room;
	assert_non_null(x->room);
	x->out_tape = (struct tape){.p = x->room, .n = room};
	switch (kind) {
	case PATH:
		x->to = to_path(at("out"));
		x->to.replace = 1;
		break;
	case FILE_FD:
		x->out_fd = open(at("out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		x->to = (struct pqc_sink){.kind = PQC_IO_FD, .fd = x->out_fd};
		break;
	case PIPE_FD:
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		x->out = (struct pump){.fd = fds[0], .p = x->room, .n = room};
		assert_int_equal(pthread_create(&x->out.thread, NULL, drain, &x->out), 0);
		x->out_fd = fds[1];
		x->to = (struct pqc_sink){.kind = PQC_IO_FD, .fd = x->out_fd};
		break;
	case MEMORY:
		x->to = to_memory(x->room, room);
		break;
	default:
		x->to = to_tape(&x->out_tape);
	}
}

/* Everything closed; what came out, the caller's. */
static uint8_t *end(struct ends *x, enum kind in, enum kind out, size_t *n)
{
	uint8_t *p = x->room;

	if (x->in_fd >= 0)
		close(x->in_fd);
	if (x->out_fd >= 0)
		close(x->out_fd);
	if (in == PIPE_FD)
		pthread_join(x->in.thread, NULL);
	if (out == PIPE_FD)
		pthread_join(x->out.thread, NULL);
	*n = out == PIPE_FD ? x->out.n : out == MEMORY ? x->room_size : x->out_tape.at;
	if (out == PATH || out == FILE_FD) {
		free(p);
		p = read_file(at("out"), n);
	}
	return p;
}

static void every_source_into_every_sink(void **state)
{
	const size_t n = 3 * CAP + 17;
	uint8_t *plain = noise(n);
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_open_options o = PQC_INIT(o);

	(void)state;
	s.raw_key = o.raw_key = key;
	s.part_size = PART;
	s.sign = alice;
	for (int i = 0; i < KINDS * KINDS; i++) {
		const enum kind in = (enum kind)(i % KINDS), out = (enum kind)(i / KINDS);
		const size_t room = (size_t)pqc_sealed_size(NULL, n, PART, 1);
		uint8_t sha[PQC_SHA256_SIZE], sha2[PQC_SHA256_SIZE];
		struct pqc_seal_result r;
		struct pqc_open_result r2;
		uint8_t *container, *back;
		struct ends x;
		size_t got;

		begin_source(&x, in, plain, n);
		begin_sink(&x, out, room);
		s.sha256 = sha;
		s.threads = i % 3;
		ok(pqc_seal(&x.from, &x.to, &s, NULL, &r, &e));
		container = end(&x, in, out, &got);
		assert_int_equal(r.size, n);
		assert_int_equal(r.parts, 4);
		assert_int_equal(r.sealed_size, got);
		assert_int_equal(got, room);

		begin_source(&x, in, container, got);
		begin_sink(&x, out, n);
		o.sha256 = sha2;
		o.expected_sender = pqc_public_id(alice_pub);
		ok(pqc_open(&x.from, &x.to, &o, NULL, &r2, &e));
		back = end(&x, in, out, &got);
		assert_int_equal(got, n);
		assert_memory_equal(back, plain, n);
		assert_memory_equal(sha, sha2, PQC_SHA256_SIZE);
		assert_memory_equal(r.file_id, r2.file_id, PQC_FILE_ID_SIZE);
		assert_memory_equal(r2.sender_id, pqc_public_id(alice_pub), PQC_ID_SIZE);
		assert_int_equal(r2.size, n);
		assert_string_equal(r2.suite, "Kyber768");
		assert_true(r2.is_signed == 1 && r2.time > 1700000000);
		free(container);
		free(back);
	}
	free(plain);
}

static void sha256_is_that_of_fips_180_4(void **state)
{
	static const uint8_t abc[PQC_SHA256_SIZE] = {
		0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
		0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
		0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	struct pqc_seal_options s = PQC_INIT(s);
	uint8_t sha[PQC_SHA256_SIZE];
	size_t n;

	(void)state;
	s.raw_key = key;
	s.sha256 = sha;
	free(sealed(&s, "abc", 3, &n));
	assert_memory_equal(sha, abc, PQC_SHA256_SIZE);
}

static void too_little_memory_says_how_much(void **state)
{
	uint8_t *plain = noise(CAP), *room = malloc(2 * CAP);
	struct pqc_source from = from_memory(plain, CAP);
	struct pqc_sink to = to_memory(room, 100);
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_open_options o = PQC_INIT(o);
	struct pqc_seal_result r;
	struct pqc_open_result r2;
	uint8_t *container;
	size_t n;

	(void)state;
	s.raw_key = o.raw_key = key;
	fails(PQC_ETOOBIG, "100", pqc_seal(&from, &to, &s, NULL, &r, &e));
	assert_int_equal(r.sealed_size, pqc_sealed_size(NULL, CAP, 0, 0));
	container = sealed(&s, plain, CAP, &n);
	from = from_memory(container, n);
	fails(PQC_ETOOBIG, "100", pqc_open(&from, &to, &o, NULL, &r2, &e));
	assert_int_equal(r2.size, CAP);
	free(container);
	free(plain);
	free(room);
}

static void path_appears_when_it_is_whole(void **state)
{
	uint8_t *plain = noise(3 * CAP);
	struct pqc_source from = from_memory(plain, 3 * CAP);
	struct pqc_sink to = to_path(at("out"));
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_control c = PQC_INIT(c);
	struct watch w = {.stop_at = 1};

	(void)state;
	s.raw_key = key;
	s.part_size = PART;
	c.progress = watch_progress;
	c.arg = &w;
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &s, &c, NULL, &e));
	assert_int_equal(entries(place), 0);
	write_file(at("out"), "old", 3);
	fails(PQC_EEXIST, "out", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	to.replace = 1;
	w = (struct watch){.stop_at = 1};
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &s, &c, NULL, &e));
	free(read_file(at("out"), &(size_t){0}));
	assert_int_equal(entries(place), 1);
	ok(pqc_seal(&from, &to, &s, NULL, NULL, &e));
	to = to_path(at("no/such/directory"));
	fails(PQC_ENOTFOUND, "no/such", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	from = from_path(at("absent"));
	to = to_path(at("never"));
	fails(PQC_ENOTFOUND, "absent", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	assert_false(is_there(at("never")));
	free(plain);
}

static void callbacks_may_fail(void **state)
{
	uint8_t *plain = noise(3 * CAP), *room = malloc(4 * CAP);
	struct pqc_seal_options s = PQC_INIT(s);
	struct tape in = {.p = plain, .n = 3 * CAP, .most = 1000};
	struct tape out = {.p = room, .n = 4 * CAP};
	struct pqc_source from = from_tape(&in, PQC_SIZE_UNKNOWN);
	struct pqc_sink to = to_tape(&out);

	(void)state;
	s.raw_key = key;
	s.part_size = PART;
	in.fail_with = PQC_ENOTFOUND;
	in.fail_at = CAP;
	fails(PQC_ENOTFOUND, "", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	in = (struct tape){.p = plain, .n = 3 * CAP, .most = 1000};
	out = (struct tape){.p = room, .n = 4 * CAP, .fail_with = PQC_EQUOTA, .fail_at = 2 * CAP};
	fails(PQC_EQUOTA, "", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	/* Fewer or more bytes than were declared. */
	in = (struct tape){.p = plain, .n = 3 * CAP, .most = 1000};
	out = (struct tape){.p = room, .n = 4 * CAP};
	from.size = 3 * CAP + 1;
	fails(PQC_ECHANGED, "", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	in.at = out.at = 0;
	from.size = 3 * CAP - 1;
	fails(PQC_ECHANGED, "", pqc_seal(&from, &to, &s, NULL, NULL, &e));
	free(plain);
	free(room);
}

/* ---- keys ---- */

static void every_kind_of_key_opens(void **state)
{
	static const struct pqc_kek kek = {.id = {1}, .version = 2, .key = {3}};
	const struct pqc_public *both[2];
	uint8_t wrong[PQC_KEY_SIZE] = {0};
	struct pqc_seal_options s;
	struct pqc_open_options o;
	uint8_t *c;
	size_t n;

	(void)state;
	for (int big_suite = 0; big_suite < 2; big_suite++) {
		both[0] = big_suite ? big_pub : alice_pub;
		both[1] = big_suite ? big_pub : bob_pub;
		s = (struct pqc_seal_options)PQC_INIT(s);
		s.suite = big_suite ? "ML-KEM-1024" : NULL;
		s.recipients = both;
		s.recipient_count = 2;
		s.raw_key = key;
		s.kek = &kek;
		c = sealed(&s, "hello", 5, &n);
		o = (struct pqc_open_options)PQC_INIT(o);
		o.identity = big_suite ? big : bob;
		assert_int_equal(opens(&o, c, n, "hello", 5, NULL), 0);
		o.identity = NULL;
		o.raw_key = key;
		assert_int_equal(opens(&o, c, n, "hello", 5, NULL), 0);
		o.raw_key = wrong;
		fails(PQC_ENOKEY, "", opens(&o, c, n, "", 5, NULL));
		o.kek = &kek; /* what is given is tried */
		assert_int_equal(opens(&o, c, n, "hello", 5, NULL), 0);
		free(c);
	}
	s = (struct pqc_seal_options)PQC_INIT(s);
	s.passphrase = "correct horse";
	c = sealed(&s, "hello", 5, &n);
	o = (struct pqc_open_options)PQC_INIT(o);
	o.passphrase = "correct horse";
	assert_int_equal(opens(&o, c, n, "hello", 5, NULL), 0);
	o.passphrase = "wrong";
	fails(PQC_EPASSPHRASE, "", opens(&o, c, n, "", 5, NULL));
	free(c);
}

static void associated_data_is_bound_to_the_raw_key(void **state)
{
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_open_options o = PQC_INIT(o);
	uint8_t *c;
	size_t n;

	(void)state;
	s.raw_key = o.raw_key = key;
	s.associated_data = "round 17";
	s.associated_data_size = 8;
	c = sealed(&s, "hello", 5, &n);
	fails(PQC_ENOKEY, "", opens(&o, c, n, "", 5, NULL));
	o.associated_data = "round 18";
	o.associated_data_size = 8;
	fails(PQC_ENOKEY, "", opens(&o, c, n, "", 5, NULL));
	o.associated_data = "round 17";
	assert_int_equal(opens(&o, c, n, "hello", 5, NULL), 0);
	free(c);
}

static void sender_is_checked(void **state)
{
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_open_options o = PQC_INIT(o);
	struct pqc_open_result r;
	uint8_t *c;
	size_t n;

	(void)state;
	s.raw_key = o.raw_key = key;
	c = sealed(&s, "hello", 5, &n);
	assert_int_equal(opens(&o, c, n, "hello", 5, &r), 0);
	assert_false(r.is_signed);
	o.expected_sender = pqc_public_id(alice_pub);
	fails(PQC_EREFUSED, "", opens(&o, c, n, "", 5, NULL));
	free(c);
	s.sign = bob;
	c = sealed(&s, "hello", 5, &n);
	fails(PQC_EREFUSED, "", opens(&o, c, n, "", 5, NULL));
	c[n - 20] ^= 1;
	o.expected_sender = NULL;
	fails(PQC_EINTEGRITY, "", opens(&o, c, n, "", 5, NULL));
	free(c);
}

/* ---- progress and cancellation ---- */

static void progress_comes_seldom_and_at_the_end(void **state)
{
	const size_t n = 40 * CAP;
	uint8_t *plain = noise(n), *room = malloc(2 * n);
	struct pqc_source from = from_memory(plain, n);
	struct pqc_sink to = to_memory(room, 2 * n);
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_control c = PQC_INIT(c);
	struct watch w = {.calls = 0};

	(void)state;
	s.raw_key = key;
	s.part_size = PART;
	c.progress = watch_progress;
	c.arg = &w;
	ok(pqc_seal(&from, &to, &s, &c, NULL, &e));
	assert_int_equal(w.last.done, n);
	assert_int_equal(w.last.total, n);
	assert_true(w.calls >= 1);
	assert_int_equal(w.last.estimate_ms, PQC_SIZE_UNKNOWN);
	free(plain);
	free(room);
}

static void progress_of_a_stream_ends_with_its_size(void **state)
{
	uint8_t *p = noise(200000), *out = malloc(400000);
	struct tape t = {.p = p, .n = 200000, .most = 5000};
	const struct pqc_source from = from_tape(&t, PQC_SIZE_UNKNOWN);
	const struct pqc_sink to = to_memory(out, 400000);
	struct pqc_seal_options o = PQC_INIT(o);
	struct pqc_control c = PQC_INIT(c);
	struct watch w = {.calls = 0};

	(void)state;
	o.raw_key = key;
	c.progress = watch_progress;
	c.arg = &w;
	ok(pqc_seal(&from, &to, &o, &c, NULL, &e));
	assert_int_equal(w.last.done, 200000);
	assert_int_equal(w.last.total, 200000);
	free(p);
	free(out);
}

/* Whichever way the two descriptors came to be. */
static void file_is_not_sealed_over_itself(void **state)
{
	static const int flags[] = {O_WRONLY, O_WRONLY | O_APPEND, O_RDWR};
	uint8_t *p = noise(70000), *after;
	struct pqc_seal_options o = PQC_INIT(o);
	const struct pqc_source path = from_path(at("self"));
	struct pqc_source in = {.kind = PQC_IO_FD};
	struct pqc_sink out = {.kind = PQC_IO_FD};
	size_t n;

	(void)state;
	o.raw_key = key;
	write_file(path.path, p, 70000);
	in.fd = open(path.path, O_RDONLY | O_CLOEXEC);
	assert_true(in.fd >= 0);
	for (size_t i = 0; i < 3; i++) {
		out.fd = open(path.path, flags[i] | O_CLOEXEC);
		assert_true(out.fd >= 0);
		fails(PQC_EUSAGE, "same file", pqc_seal(&in, &out, &o, NULL, NULL, &e));
		fails(PQC_EUSAGE, "same file", pqc_seal(&path, &out, &o, NULL, NULL, &e));
		close(out.fd);
	}
	close(in.fd);
	after = read_file(path.path, &n);
	assert_int_equal(n, 70000);
	assert_memory_equal(after, p, n);
	free(after);
	free(p);
}

static void flag_ends_a_call_and_all_later_ones(void **state)
{
	uint8_t *plain = noise(8 * CAP), *room = malloc(16 * CAP);
	struct pqc_source from = from_memory(plain, 8 * CAP);
	struct pqc_sink to = to_memory(room, 16 * CAP);
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_control c = PQC_INIT(c);
	struct pqc_cancel *flag;
	struct watch w = {.calls = 0};

	(void)state;
	ok(pqc_cancel_new(&flag, &e));
	s.raw_key = key;
	s.part_size = PART;
	c.progress = watch_progress;
	c.arg = &w;
	c.cancel = flag;
	ok(pqc_seal(&from, &to, &s, &c, NULL, &e));
	w = (struct watch){.set_at_1 = flag};
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &s, &c, NULL, &e));
	assert_int_equal(w.calls, 1);
	c.progress = NULL;
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &s, &c, NULL, &e));
	pqc_cancel_free(flag);
	free(plain);
	free(room);
}

/* A source that, once it was read from, lets another thread set the flag, and brings nothing more. */
struct stuck {
	int wake[2], pipe[2];
	struct pqc_cancel *flag;
};

static void *cancel_when_woken(void *arg)
{
	struct stuck *s = arg;
	char c;

	assert_int_equal(read(s->wake[0], &c, 1), 1);
	pqc_cancel_set(s->flag);
	return NULL;
}

static int wake(void *arg, const void *p, size_t n)
{
	struct stuck *s = arg;

	(void)p;
	(void)n;
	return write(s->wake[1], "x", 1) == 1 ? 0 : PQC_EIO;
}

struct trickle {
	struct pqc_cancel *flag;
	int calls;
};

static int64_t cancel_and_trickle(void *arg, void *p, size_t n)
{
	struct trickle *t = arg;

	(void)n;
	pqc_cancel_set(t->flag);
	*(char *)p = 'x';
	return t->calls++ < 100 ? 1 : 0;
}

/* What gives little at a time is not asked until a part is whole. */
static void flag_ends_a_trickle(void **state)
{
	struct trickle t = {.calls = 0};
	struct pqc_source from = {.kind = PQC_IO_CALLBACK,
				  .size = PQC_SIZE_UNKNOWN,
				  .read = cancel_and_trickle,
				  .arg = &t};
	static uint8_t room[2 * CAP];
	struct pqc_sink to = to_memory(room, sizeof(room));
	struct pqc_seal_options o = PQC_INIT(o);
	struct pqc_control c = PQC_INIT(c);

	(void)state;
	ok(pqc_cancel_new(&t.flag, &e));
	o.raw_key = key;
	c.cancel = t.flag;
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &o, &c, NULL, &e));
	assert_int_equal(t.calls, 1);
	pqc_cancel_free(t.flag);
}

/* The container's head is written first: from then on it waits for a pipe that stays empty. */
static void flag_ends_a_wait_for_a_pipe(void **state)
{
	struct stuck s;
	struct pqc_source from = {.kind = PQC_IO_FD};
	struct pqc_sink to = {.kind = PQC_IO_CALLBACK, .write = wake, .arg = &s};
	struct pqc_seal_options o = PQC_INIT(o);
	struct pqc_control c = PQC_INIT(c);
	pthread_t thread;

	(void)state;
	assert_int_equal(pipe2(s.wake, O_CLOEXEC), 0);
	assert_int_equal(pipe2(s.pipe, O_CLOEXEC), 0);
	ok(pqc_cancel_new(&s.flag, &e));
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_woken, &s), 0);
	from.fd = s.pipe[0];
	o.raw_key = key;
	c.cancel = s.flag;
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &o, &c, NULL, &e));
	pthread_join(thread, NULL);
	pqc_cancel_free(s.flag);
	for (int i = 0; i < 2; i++) {
		close(s.wake[i]);
		close(s.pipe[i]);
	}
}

static void *cancel_when_full(void *arg)
{
	struct stuck *s = arg;
	int n = 0;

	while (n == 0 || n < fcntl(s->pipe[1], F_GETPIPE_SZ)) {
		assert_int_equal(ioctl(s->pipe[0], FIONREAD, &n), 0);
		sched_yield();
	}
	pqc_cancel_set(s->flag);
	return NULL;
}

/* Nobody reads: it waits when the pipe is full. The pipe itself still blocks others that write. */
static void flag_ends_a_wait_for_a_reader(void **state)
{
	const size_t n = (size_t)64 * CAP;
	uint8_t *plain = noise(n);
	struct pqc_source from = from_memory(plain, n);
	struct pqc_sink to = {.kind = PQC_IO_FD};
	struct pqc_seal_options o = PQC_INIT(o);
	struct pqc_control c = PQC_INIT(c);
	pthread_t thread;
	struct stuck s;

	(void)state;
	assert_int_equal(pipe2(s.pipe, O_CLOEXEC), 0);
	ok(pqc_cancel_new(&s.flag, &e));
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_full, &s), 0);
	to.fd = s.pipe[1];
	o.raw_key = key;
	o.part_size = PART;
	c.cancel = s.flag;
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &to, &o, &c, NULL, &e));
	pthread_join(thread, NULL);
	assert_int_equal(fcntl(s.pipe[1], F_GETFL) & O_NONBLOCK, 0);
	pqc_cancel_free(s.flag);
	close(s.pipe[0]);
	close(s.pipe[1]);
	free(plain);
}

/* One thread's failure ends the wait of another. */
static void failure_ends_a_wait_for_a_pipe(void **state)
{
	struct tape full = {.n = 4 * PART, .fail_with = PQC_EQUOTA, .fail_at = PART};
	struct pqc_source from = {.kind = PQC_IO_FD};
	struct pqc_sink to = to_tape(&full);
	struct pqc_seal_options o = PQC_INIT(o);
	uint8_t *plain = noise(PART + 1);
	int fds[2];

	(void)state;
	full.p = malloc(4 * PART);
	assert_non_null(full.p);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	assert_int_equal(write(fds[1], plain, CAP + 1), CAP + 1);
	from.fd = fds[0];
	o.raw_key = key;
	o.part_size = PART;
	o.threads = 2;
	fails(PQC_EQUOTA, "", pqc_seal(&from, &to, &o, NULL, NULL, &e));
	close(fds[0]);
	close(fds[1]);
	free(full.p);
	free(plain);
}

static void broken_pipe_is_an_error_and_no_signal(void **state)
{
	uint8_t *plain = noise(8 * CAP);
	struct pqc_source from = from_memory(plain, 8 * CAP);
	struct pqc_sink to = {.kind = PQC_IO_FD};
	struct pqc_seal_options o = PQC_INIT(o);
	int fds[2];

	(void)state;
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	to.fd = fds[1];
	o.raw_key = key;
	assert_int_equal(pqc_seal(&from, &to, &o, NULL, NULL, &e), PQC_ECLOSED);
	close(fds[1]);
	free(plain);
}

/* ---- inspect and rewrap ---- */

static void inspect_tells_what_it_sees(void **state)
{
	const struct pqc_public *list[] = {alice_pub};
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_buffer json;
	uint8_t *c;
	size_t n;

	(void)state;
	s.recipients = list;
	s.recipient_count = 1;
	s.sign = bob;
	c = sealed(&s, "hello", 5, &n);
	write_file(at("c"), c, n);
	ok(pqc_inspect(at("c"), &json, &e));
	assert_int_equal(strncmp(json.data, "{\"event\":\"container\"", 20), 0);
	assert_int_equal(((char *)json.data)[json.size - 1], '}');
	assert_non_null(strstr(json.data, "\"manifest\":\"signed\""));
	pqc_buffer_free(&json);
	write_file(at("c"), c, n - 1);
	ok(pqc_inspect(at("c"), &json, &e));
	assert_non_null(strstr(json.data, "\"manifest\":\"damaged\""));
	pqc_buffer_free(&json);
	write_file(at("c"), c, 100);
	fails(PQC_EINTEGRITY, "c: ", pqc_inspect(at("c"), &json, &e));
	assert_null(json.data);
	fails(PQC_ENOTFOUND, "absent", pqc_inspect(at("absent"), &json, &e));
	free(c);
}

static int opens_file(const struct pqc_identity *id, const char *pass)
{
	struct pqc_open_options o = PQC_INIT(o);
	struct pqc_source from = from_path(at("c"));
	uint8_t out[5];
	struct pqc_sink to = to_memory(out, sizeof(out));

	o.identity = id;
	o.passphrase = pass;
	return pqc_open(&from, &to, &o, NULL, NULL, &e);
}

static void rewrap_changes_who_opens(void **state)
{
	const struct pqc_public *list[] = {alice_pub}, *others[] = {bob_pub};
	struct pqc_seal_options s = PQC_INIT(s), add = PQC_INIT(add);
	struct pqc_open_options keys = PQC_INIT(keys);
	struct pqc_rewrap_options r = PQC_INIT(r);
	uint8_t ids[1][PQC_ID_SIZE];
	uint8_t *c;
	size_t n;

	(void)state;
	s.recipients = list;
	s.recipient_count = 1;
	c = sealed(&s, "hello", 5, &n);
	write_file(at("c"), c, n);
	free(c);
	fails(PQC_EUSAGE, "what shall change", pqc_rewrap(at("c"), &r, &e));
	r.remove_all = 1;
	fails(PQC_EUSAGE, "keys is NULL", pqc_rewrap(at("c"), &r, &e));
	r.keys = &keys;
	fails(PQC_EUSAGE, "with what", pqc_rewrap(at("c"), &r, &e));
	keys.identity = bob;
	fails(PQC_ENOKEY, "", pqc_rewrap(at("c"), &r, &e));
	keys.identity = alice;
	fails(PQC_EUSAGE, "nobody", pqc_rewrap(at("c"), &r, &e));
	r.remove_all = 0;
	r.remove_count = 1;
	fails(PQC_EUSAGE, "remove is NULL", pqc_rewrap(at("c"), &r, &e));
	r.remove = (const uint8_t(*)[PQC_ID_SIZE])ids;
	memcpy(ids[0], pqc_public_id(bob_pub), PQC_ID_SIZE);
	fails(PQC_ENOTFOUND, "", pqc_rewrap(at("c"), &r, &e));
	add.recipients = others;
	add.recipient_count = 1;
	add.part_size = PART;
	r.add = &add;
	fails(PQC_EUSAGE, "add->part_size", pqc_rewrap(at("c"), &r, &e));
	add.part_size = 0;
	memcpy(ids[0], pqc_public_id(alice_pub), PQC_ID_SIZE);
	ok(pqc_rewrap(at("c"), &r, &e));
	assert_int_equal(opens_file(alice, NULL), PQC_ENOKEY);
	assert_int_equal(opens_file(bob, NULL), 0);
	keys.identity = bob;
	add.recipient_count = r.remove_count = 0;
	add.passphrase = "pass";
	r.remove_all = 1;
	ok(pqc_rewrap(at("c"), &r, &e));
	assert_int_equal(opens_file(NULL, "pass"), 0);
	fails(PQC_ENOTFOUND, "", pqc_rewrap(at("absent"), &r, &e));
}

/* ---- what stays behind ---- */

/* Each of these fails or succeeds in a way of its own. */
static void one_round(uint8_t *plain, uint8_t *room)
{
	struct pqc_source from = from_memory(plain, 2 * CAP), absent = from_path(at("absent"));
	struct pqc_sink to = to_memory(room, 4 * CAP), file = to_path(at("out"));
	struct tape bad = {.p = plain, .n = CAP, .most = 10000, .fail_with = PQC_EIO, .fail_at = 1};
	struct pqc_source failing = from_tape(&bad, PQC_SIZE_UNKNOWN);
	struct pqc_seal_options s = PQC_INIT(s);
	struct pqc_open_options o = PQC_INIT(o);
	struct pqc_control c = PQC_INIT(c);
	struct watch w = {.stop_at = 1};

	c.progress = watch_progress;
	c.arg = &w;
	s.raw_key = o.raw_key = key;
	s.part_size = PART;
	file.replace = 1;
	ok(pqc_seal(&from, &file, &s, NULL, NULL, &e));
	fails(PQC_EINTERRUPTED, "", pqc_seal(&from, &file, &s, &c, NULL, &e));
	fails(PQC_ENOTFOUND, "", pqc_seal(&absent, &to, &s, NULL, NULL, &e));
	fails(PQC_EIO, "", pqc_seal(&failing, &file, &s, NULL, NULL, &e));
	from = from_path(at("out"));
	ok(pqc_open(&from, &to, &o, NULL, NULL, &e));
	o.raw_key = room;
	fails(PQC_ENOKEY, "", pqc_open(&from, &to, &o, NULL, NULL, &e));
	o.raw_key = key;
	from = from_memory(plain, CAP);
	fails(PQC_EINTEGRITY, "", pqc_open(&from, &to, &o, NULL, NULL, &e));
}

static void nothing_stays_behind(void **state)
{
	uint8_t *plain = noise(2 * CAP), *room = calloc(4, CAP);
	int before;

	(void)state;
	one_round(plain, room);
	before = open_descriptors();
	for (int i = 0; i < 200; i++)
		one_round(plain, room);
	assert_int_equal(open_descriptors(), before);
	only_one_thread();
	assert_int_equal(entries(place), 1);
	free(plain);
	free(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_source_into_every_sink, place_new,
						place_free),
		cmocka_unit_test(sha256_is_that_of_fips_180_4),
		cmocka_unit_test(too_little_memory_says_how_much),
		cmocka_unit_test_setup_teardown(path_appears_when_it_is_whole, place_new,
						place_free),
		cmocka_unit_test(callbacks_may_fail),
		cmocka_unit_test(every_kind_of_key_opens),
		cmocka_unit_test(associated_data_is_bound_to_the_raw_key),
		cmocka_unit_test(sender_is_checked),
		cmocka_unit_test(progress_comes_seldom_and_at_the_end),
		cmocka_unit_test(progress_of_a_stream_ends_with_its_size),
		cmocka_unit_test_setup_teardown(file_is_not_sealed_over_itself, place_new,
						place_free),
		cmocka_unit_test(flag_ends_a_call_and_all_later_ones),
		cmocka_unit_test(flag_ends_a_trickle),
		cmocka_unit_test(flag_ends_a_wait_for_a_pipe),
		cmocka_unit_test(flag_ends_a_wait_for_a_reader),
		cmocka_unit_test(failure_ends_a_wait_for_a_pipe),
		cmocka_unit_test(broken_pipe_is_an_error_and_no_signal),
		cmocka_unit_test_setup_teardown(inspect_tells_what_it_sees, place_new, place_free),
		cmocka_unit_test_setup_teardown(rewrap_changes_who_opens, place_new, place_free),
		cmocka_unit_test_setup_teardown(nothing_stays_behind, place_new, place_free),
	};

	return cmocka_run_group_tests_name("lib_seal", tests, people, people_free);
}
