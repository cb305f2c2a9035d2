/*
 * The store under fire: the process dies at the nth system call, or that call
 * fails, for every n; then what was promised is checked.
 */
#include "sysfault.h"

#include "store_fixture.h"

#include <sys/wait.h>

static char *dir;
static unsigned acked; /* what the operation under fire had reported done: bits of enum ack */
static int ack_fd = -1;

enum ack { ACK_BEGUN = 8, ACK_DONE = 16 }; /* below: part i durable, bit i */

static void ack(unsigned what)
{
	uint8_t byte = (uint8_t)what;

	acked |= what;
	if (ack_fd >= 0 && syscall(SYS_write, ack_fd, &byte, 1) != 1)
		_exit(1);
}

/* One round of play: a state of the store, what happens to it, and what must be true after. */
struct play {
	void (*prepare)(struct store *s);
	int (*act)(struct store *s, struct err *e);
	void (*check)(struct store *s);
	void (*check_end)(struct store *s); /* after a sweep of all that is old */
	unsigned objects;		    /* then */
};

static struct thing a, b, c, other;

static int upload_rest(struct upload *u, const struct thing *t, struct err *e)
{
	unsigned held = held_bits(u);
	int rc;

	for (uint64_t i = 0; i < PARTS; i++) {
		if ((held & 1u << i) != 0)
			continue;
		if ((rc = thing_part(u, t, i, e)) != 0)
			return rc;
		ack(1u << i);
	}
	if ((rc = thing_commit(u, t, e)) == 0)
		ack(ACK_DONE);
	return rc;
}

static int put(struct store *s, const struct thing *t, struct err *e)
{
	struct upload *u;
	int rc = thing_begin(s, t, false, &u, e);

	if (rc != 0)
		return rc;
	ack(ACK_BEGUN);
	rc = upload_rest(u, t, e);
	upload_free(u);
	return rc;
}

static int put_b(struct store *s, struct err *e)
{
	return put(s, &b, e);
}

/* ---- rounds ---- */

/* Bytes that the ledger has for an object, whoever's it is; -1: none. */
static int64_t ledger_has(const char *hex)
{
	const uint8_t *const owners[] = {alice, bob};
	int64_t found = -1;
	char owner[65], path[256];
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		hex_encode(owners[i], ID_LEN, owner);
		snprintf(path, sizeof(path), "usage/%s/%s", owner, hex);
		if (stat(in(dir, path), &st) == 0) {
			assert_int_equal(found, -1); /* one owner's only */
			found = st.st_size;
		}
	}
	return found;
}

static unsigned ledger_checked;

static int check_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *hex = path + ftw->base;

	(void)st;
	if (type == FTW_D && strlen(hex) == 64) {
		assert_int_equal(ledger_has(hex), pqx_body_len(PART, thing_size()));
		ledger_checked++;
	}
	return 0;
}

/* Whatever happened, nothing is there that is not in the ledger with all its bytes. */
static void check_ledger(void)
{
	ledger_checked = 0;
	assert_int_equal(nftw(in(dir, "objects"), check_entry, 16, FTW_PHYS), 0);
	assert_true(ledger_checked > 0);
}

static void check_objects(unsigned want)
{
	uint64_t bytes, objects;
	struct store *s = store_at(dir);
	struct err e = {0};

	/* Now it has nothing else either. */
	assert_int_equal(store_usage(s, NULL, &bytes, &objects, &e), 0);
	assert_int_equal(objects, want);
	assert_int_equal(bytes, want * pqx_body_len(PART, thing_size()));
	store_close(s);
	unsigned tmp, have = count_files(in(dir, "objects"), &tmp);

	assert_int_equal(tmp, 0);
	assert_int_equal(have, 6 * want);
	assert_int_equal(count_files(in(dir, "trash"), NULL), 0);
	assert_int_equal(count_files(in(dir, "names"), &tmp), want);
	assert_int_equal(tmp, 0);
}

static void check_after(const struct play *p, struct store *s)
{
	unsigned removed;
	struct err e = {0};

	check_ledger();
	p->check(s);
	check_ledger();
	if (store_sweep(s, LATER, &removed, &e) != 0)
		fail_msg("sweep: %s", e.msg);
	p->check_end(s);
	check_ledger();
	check_objects(p->objects);
	name_is(s, &other);
}

static void fresh(const struct play *p)
{
	struct store *s;

	scratch_empty(dir);
	s = store_at(dir);
	thing_put(s, &other);
	if (p->prepare != NULL)
		p->prepare(s);
	store_close(s);
	acked = 0;
}

/* In a child that dies at call n. True when it came to its end before. */
static bool die_at(const struct play *p, enum sysfault_mode how, unsigned n)
{
	int pipe_fds[2], status;
	uint8_t byte;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	if ((pid = fork()) == 0) {
		struct store *s = NULL;
		struct err e = {0};

		ack_fd = pipe_fds[1];
		sysfault_set(how, n, 0);
		if (store_open(&s, dir, &e) != 0 || p->act(s, &e) != 0)
			_exit(1);
		_exit(0);
	}
	close(pipe_fds[1]);
	while (read(pipe_fds[0], &byte, 1) == 1)
		acked |= byte;
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SYSFAULT_EXIT);
	return WEXITSTATUS(status) == 0;
}

static void play_deaths(const struct play *p, enum sysfault_mode how)
{
	bool done = false;
	unsigned n;

	for (n = 1; !done; n++) {
		fresh(p);
		done = die_at(p, how, n);
		struct store *s = store_at(dir);

		check_after(p, s);
		store_close(s);
	}
	assert_in_range(n, 10, 1000); /* the faults did strike */
}

/* Call n fails, in this process: what is open stays open, and the store goes on. */
static void play_failures(const struct play *p, int errnum)
{
	bool reached = true;
	unsigned n;

	for (n = 1; reached; n++) {
		fresh(p);
		struct store *s = store_at(dir);
		struct err e = {0};
		unsigned fds = count_fds();

		sysfault_set(SYSFAULT_FAIL, n, errnum);
		int rc = p->act(s, &e);

		reached = sysfault.count >= n;
		sysfault_set(SYSFAULT_OFF, 0, 0);
		if (rc != 0) {
			assert_true(reached);
			assert_int_equal(e.code, rc);
			assert_true(strlen(e.msg) > 5);
		}
		assert_int_equal(count_fds(), fds);
		check_after(p, s);
		store_close(s);
	}
	assert_in_range(n, 10, 1000);
}

static void play(const struct play *p)
{
	play_deaths(p, SYSFAULT_DIE);
	play_deaths(p, SYSFAULT_CUT);
	play_failures(p, 0);
	play_failures(p, EIO);
	play_failures(p, EMFILE);
}

/* Take the upload of t up again, and bring it to its end. */
static void finish(struct store *s, const struct thing *t)
{
	static uint8_t want[PART], got[PART];
	struct upload *u;
	struct err e = {0};
	int rc = thing_resume(s, t, &u, &e);

	if (rc == PQC_ENOTFOUND) {
		assert_true((acked & ACK_BEGUN) == 0);
		return;
	}
	if (rc != 0)
		fail_msg("resume: %s", e.msg);
	assert_true(span_is(upload_keyblock(u), "a key block"));
	/* No acknowledged part is lost, and what is said to be held is. */
	unsigned held = held_bits(u), promised = acked & 7;

	assert_int_equal(held & promised, promised);
	for (uint64_t i = 0; i < PARTS; i++) {
		uint8_t leaf[HASH_MAX], expected[HASH_MAX];

		assert_int_equal(upload_leaf(u, i, leaf), held & 1u << i ? 0 : PQC_ENOTFOUND);
		if ((held & 1u << i) == 0)
			continue;
		leaf_fill(t, i, expected);
		assert_memory_equal(leaf, expected, t->h.suite->hash_len);
	}
	bool committed = upload_committed(u);

	if (committed)
		name_is(s, t);
	if (upload_rest(u, t, &e) != 0)
		fail_msg("going on: %s", e.msg);
	assert_true(span_is(upload_manifest(u), t->manifest));
	assert_true(span_is(upload_receipt(u), t->receipt));
	upload_free(u);
	/* The parts that were held are those that were sent. */
	struct object *o;

	assert_int_equal(object_open(s, t->name, &o, &e), 0);
	for (uint64_t i = 0; i < PARTS; i++) {
		part_fill(t, i, want);
		assert_int_equal(pread(object_body_fd(o), got, part_len(i), (off_t)(i * PART)),
				 part_len(i));
		assert_memory_equal(got, want, part_len(i));
	}
	object_free(o);
}

/* ---- a new name ---- */

static void check_new(struct store *s)
{
	const struct thing *things[] = {&b};
	int means = name_means(s, b.name, things, 1);

	if ((acked & ACK_DONE) != 0)
		assert_int_equal(means, 0);
	finish(s, &b);
	means = name_means(s, b.name, things, 1);
	if (means < 0) { /* it did not even begin: nothing is in the way of another try */
		assert_true((acked & ACK_BEGUN) == 0);
		thing_put(s, &c);
	}
	assert_true((acked & ACK_BEGUN) == 0 || means == 0);
}

static void end_new(struct store *s)
{
	const struct thing *things[] = {&b, &c};

	assert_true(name_means(s, b.name, things, 2) >= 0);
}

static void test_put(void **state)
{
	(void)state;
	play(&(struct play){NULL, put_b, check_new, end_new, 2});
}

/* ---- the same file again, as a client does whose server died before it answered ---- */

static void check_again(struct store *s)
{
	struct upload *u;
	struct err e = {0};
	int rc = thing_resume(s, &b, &u, &e);

	if (rc == PQC_ENOTFOUND) {
		thing_put(s, &b);
	} else {
		assert_int_equal(rc, 0);
		upload_free(u);
		finish(s, &b);
	}
	name_is(s, &b);
}

static void end_again(struct store *s)
{
	name_is(s, &b);
}

static void test_put_again(void **state)
{
	(void)state;
	play(&(struct play){NULL, put_b, check_again, end_again, 2});
}

/* ---- in place of another ---- */

static void prepare_a(struct store *s)
{
	thing_put(s, &a);
}

static void check_replaced(struct store *s)
{
	const struct thing *things[] = {&a, &b};
	struct upload *u;
	struct err e = {0};
	int means = name_means(s, a.name, things, 2);

	assert_true(means >= 0);
	if ((acked & ACK_DONE) != 0)
		assert_int_equal(means, 1);
	/* What was replaced is gone, whether or not its bytes are: it never comes back. */
	if (means == 1)
		assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	name_is(s, means == 1 ? &b : &a);
	finish(s, &b);
	means = name_means(s, a.name, things, 2);
	if (means == 0) {
		assert_true((acked & ACK_BEGUN) == 0);
		thing_put(s, &c);
	}
}

static void end_replaced(struct store *s)
{
	const struct thing *things[] = {&b, &c};
	struct upload *u;
	struct err e = {0};

	assert_true(name_means(s, a.name, things, 2) >= 0);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
}

static void test_replace(void **state)
{
	(void)state;
	play(&(struct play){prepare_a, put_b, check_replaced, end_replaced, 2});
}

/* The same, and nobody comes back for it: the name keeps a meaning, and the sweep ends the rest. */
static void check_nothing(struct store *s)
{
	(void)s;
}

static void end_one_of(struct store *s)
{
	const struct thing *things[] = {&a, &b};
	struct upload *u;
	struct err e = {0};
	int means = name_means(s, a.name, things, 2);

	assert_true(means >= 0);
	if ((acked & ACK_DONE) != 0)
		assert_int_equal(means, 1);
	assert_int_equal(thing_resume(s, means == 1 ? &a : &b, &u, &e), PQC_ENOTFOUND);
	assert_int_equal(thing_resume(s, means == 1 ? &b : &a, &u, &e), 0);
	assert_true(upload_committed(u));
	upload_free(u);
}

static void test_replace_abandoned(void **state)
{
	(void)state;
	play(&(struct play){prepare_a, put_b, check_nothing, end_one_of, 2});
}

/* ---- a commit over what a crash in a commit left ---- */

static void check_third(struct store *s)
{
	struct upload *u;
	struct err e = {0};

	thing_put(s, &c);
	name_is(s, &c);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	name_is(s, &c);
}

static void end_third(struct store *s)
{
	name_is(s, &c);
}

static void test_replace_twice(void **state)
{
	(void)state;
	play(&(struct play){prepare_a, put_b, check_third, end_third, 2});
}

/* ---- delete after a crash in a commit: nothing rises again ---- */

static void check_delete(struct store *s)
{
	struct upload *u;
	struct err e = {0};

	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	name_is_free(s, a.name);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	name_is_free(s, a.name);
}

static void end_deleted(struct store *s)
{
	name_is_free(s, a.name);
}

static void test_replace_delete(void **state)
{
	(void)state;
	play(&(struct play){prepare_a, put_b, check_delete, end_deleted, 1});
}

/* ---- delete ---- */

static int delete_a(struct store *s, struct err *e)
{
	int rc = store_delete(s, a.name, alice, e);

	if (rc == 0)
		ack(ACK_DONE);
	return rc;
}

static void check_gone_or_not(struct store *s)
{
	const struct thing *things[] = {&a};
	struct upload *u;
	struct err e = {0};
	int means = name_means(s, a.name, things, 1);

	if ((acked & ACK_DONE) != 0)
		assert_int_equal(means, -1);
	if (means < 0) {
		assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
		assert_int_equal(store_delete(s, a.name, alice, &e), PQC_ENOTFOUND);
	} else {
		assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	}
	name_is_free(s, a.name);
	/* Nobody owns the name any more. */
	thing_put(s, &c);
	name_is(s, &c);
}

static void test_delete(void **state)
{
	(void)state;
	play(&(struct play){prepare_a, delete_a, check_gone_or_not, end_third, 2});
}

/* ---- delete of what replaced another, the other being still there ---- */

static void prepare_half_replaced(struct store *s)
{
	const char *kept = in(dir, "kept");
	char from[4096], entry[4096], hex[65], owner[65];

	thing_put(s, &a);
	hex_encode(a.h.file_id, 32, hex);
	hex_encode(a.owner, ID_LEN, owner);
	snprintf(from, sizeof(from), "%s/objects/%.2s/%s", dir, hex, hex);
	snprintf(entry, sizeof(entry), "%s/usage/%s/%s", dir, owner, hex);
	/* As if the machine had stopped between the name's entry and the end of a. */
	assert_int_equal(rename(from, kept), 0);
	assert_int_equal(mkdir(from, 0700), 0);
	thing_put(s, &b);
	rmdir(from);
	assert_int_equal(rename(in(dir, "kept"), from), 0);
	write_file(entry, "", 0);
	assert_int_equal(truncate(entry, (off_t)pqx_body_len(PART, thing_size())), 0);
}

static void check_b_deleted(struct store *s)
{
	const struct thing *things[] = {&b};
	struct upload *u;
	struct err e = {0};
	int means = name_means(s, b.name, things, 1);

	if ((acked & ACK_DONE) != 0)
		assert_int_equal(means, -1);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	assert_int_equal(store_delete(s, b.name, alice, &e), means < 0 ? PQC_ENOTFOUND : 0);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	name_is_free(s, b.name);
}

static void test_delete_half_replaced(void **state)
{
	(void)state;
	play(&(struct play){prepare_half_replaced, delete_a, check_b_deleted, end_deleted, 1});
}

/* ---- sweep ---- */

static void prepare_litter(struct store *s)
{
	struct upload *u;
	struct err e = {0};

	prepare_half_replaced(s); /* a: to be dropped; b: to stay */
	assert_int_equal(thing_begin(s, &c, false, &u, &e), 0);
	upload_free(u);
	write_file(in(dir, "trash/left"), "x", 1);
	assert_int_equal(mkdir(in(dir, "trash/object"), 0700), 0);
	write_file(in(dir, "trash/object/body"), "x", 1);
}

static int sweep(struct store *s, struct err *e)
{
	unsigned removed;
	int rc = store_sweep(s, LATER, &removed, e);

	if (rc == 0)
		ack(ACK_DONE);
	return rc;
}

static void end_b(struct store *s)
{
	struct upload *u;
	struct err e = {0};

	name_is(s, &b);
	assert_int_equal(thing_resume(s, &a, &u, &e), PQC_ENOTFOUND);
	assert_int_equal(thing_resume(s, &c, &u, &e), PQC_ENOTFOUND);
}

static void check_b(struct store *s)
{
	name_is(s, &b);
}

static void test_sweep(void **state)
{
	(void)state;
	play(&(struct play){prepare_litter, sweep, check_b, end_b, 2});
}

/* ---- a resume that enters the name of a commit that was cut short, cut short itself ---- */

static void prepare_cut_short(struct store *s)
{
	char from[4096], hex[65];
	uint8_t key[64];

	thing_put(s, &b);
	assert_int_equal(sha512(&(struct span){b.name, strlen(b.name)}, 1, key), 0);
	hex_encode(key, 32, hex);
	snprintf(from, sizeof(from), "%s/names/%.2s/%s", dir, hex, hex);
	assert_int_equal(unlink(from), 0);
	name_is_free(s, b.name);
	thing_put(s, &a); /* a newer one of the same name, committed since: b takes its place */
}

static int resume_b(struct store *s, struct err *e)
{
	struct upload *u;
	int rc = thing_resume(s, &b, &u, e);

	if (rc != 0)
		return rc;
	assert_true(upload_committed(u));
	upload_free(u);
	ack(ACK_DONE);
	return 0;
}

static void check_resumed(struct store *s)
{
	const struct thing *things[] = {&a, &b};
	int means = name_means(s, b.name, things, 2);

	assert_true(means >= 0);
	if ((acked & ACK_DONE) != 0)
		assert_int_equal(means, 1);
	finish(s, &b);
	name_is(s, &b);
}

static void test_resume(void **state)
{
	(void)state;
	play(&(struct play){prepare_cut_short, resume_b, check_resumed, end_b, 2});
}

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	thing_new(&other, SUITE_KYBER768, "another/name", bob, 99);
	thing_new(&a, SUITE_KYBER768, "dir/name", alice, 1);
	thing_new(&b, SUITE_KYBER1024, "dir/name", alice, 2);
	thing_new(&c, SUITE_KYBER768, "dir/name", alice, 3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_free(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),	      cmocka_unit_test(test_put_again),
		cmocka_unit_test(test_replace),	      cmocka_unit_test(test_replace_abandoned),
		cmocka_unit_test(test_replace_twice), cmocka_unit_test(test_replace_delete),
		cmocka_unit_test(test_delete),	      cmocka_unit_test(test_delete_half_replaced),
		cmocka_unit_test(test_sweep),	      cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
