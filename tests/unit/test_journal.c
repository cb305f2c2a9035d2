/* The journal: kept leaves, damage, locks, deaths. */
#include "sysfault.h"

#include "store_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

#include "client/journal.h"

#define HEAD_LEN (4 + 1 + 1 + 32 + PQX_HEADER_LEN)

static char *dir;
static struct thing a, b;
static uint8_t key[32] = {0xAB, 0xCD}, print_a[32] = {1}, print_b[32] = {2};
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	thing_new(&a, SUITE_KYBER768, "x", alice, 1);
	thing_new(&b, SUITE_KYBER1024, "x", alice, 2);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sysfault_set(SYSFAULT_OFF, 0, 0);
	scratch_free(dir);
	return 0;
}

static const char *journal_path(void)
{
	char hex[65];

	hex_encode(key, 32, hex);
	return in(dir, hex);
}

static struct journal *open_kind(enum journal_kind kind)
{
	struct journal *j = NULL;

	if (journal_open(dir, kind, key, &j, &e) != 0)
		fail_msg("%s", e.msg);
	return j;
}

static struct journal *open_put(void)
{
	return open_kind(JOURNAL_PUT);
}

static void note(struct journal *j, const struct thing *t, uint64_t i)
{
	uint8_t leaf[HASH_MAX];

	leaf_fill(t, i, leaf);
	assert_int_equal(journal_put(j, i, leaf, &e), 0);
}

static bool has(struct journal *j, const struct thing *t, uint64_t i)
{
	uint8_t leaf[HASH_MAX], want[HASH_MAX];
	int rc = journal_leaf(j, i, leaf);

	if (rc == PQC_ENOTFOUND)
		return false;
	assert_int_equal(rc, 0);
	leaf_fill(t, i, want);
	assert_memory_equal(leaf, want, t->h.suite->hash_len);
	return true;
}

static void is_empty(struct journal *j)
{
	uint8_t leaf[HASH_MAX];

	assert_null(journal_header(j));
	assert_null(journal_fingerprint(j));
	assert_int_equal(journal_slots(j), 0);
	assert_int_equal(journal_leaf(j, 0, leaf), PQC_ENOTFOUND);
	assert_int_equal(journal_put(j, 0, leaf, &e), PQC_EUSAGE);
}

static void test_life(void **state)
{
	struct journal *j = open_put();
	struct stat st;

	(void)state;
	is_empty(j);
	assert_int_equal(stat(journal_path(), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(journal_start(j, &a.h, print_a, &e), 0);
	assert_int_equal(journal_slots(j), 0);
	for (uint64_t i = 0; i < 600; i += 2)
		note(j, &a, i);
	assert_int_equal(journal_sync(j, &e), 0);
	journal_free(j);
	j = open_put();
	assert_memory_equal(journal_header(j)->raw, a.h.raw, PQX_HEADER_LEN);
	assert_memory_equal(journal_fingerprint(j), print_a, 32);
	assert_int_equal(journal_slots(j), 599);
	for (uint64_t i = 0; i < 602; i++)
		assert_int_equal(has(j, &a, i), i < 600 && i % 2 == 0);
	assert_false(has(j, &a, UINT64_MAX));
	uint8_t leaf[HASH_MAX] = {0};

	assert_int_equal(journal_put(j, PQX_PARTS_MAX, leaf, &e), PQC_EUSAGE);
	/* Over again for another file: nothing of the first is left, nothing leaks into it. */
	assert_int_equal(journal_start(j, &b.h, print_b, &e), 0);
	assert_int_equal(journal_slots(j), 0);
	assert_false(has(j, &b, 0));
	note(j, &b, 7);
	journal_free(j);
	j = open_put();
	assert_memory_equal(journal_header(j)->raw, b.h.raw, PQX_HEADER_LEN);
	assert_memory_equal(journal_fingerprint(j), print_b, 32);
	assert_true(has(j, &b, 7));
	assert_int_equal(journal_slots(j), 8);
	assert_int_equal(journal_remove(j, &e), 0);
	is_empty(j);
	assert_int_equal(access(journal_path(), F_OK), -1);
	assert_int_equal(journal_remove(j, &e), 0);
	journal_free(j);
	journal_free(NULL);
	j = open_put();
	is_empty(j);
	journal_free(j);
}

static void test_kinds(void **state)
{
	struct journal *j = open_kind(JOURNAL_GET);

	(void)state;
	assert_int_equal(journal_start(j, &a.h, print_a, &e), 0);
	note(j, &a, 1);
	journal_free(j);
	j = open_put();
	is_empty(j);
	journal_free(j);
	j = open_kind(JOURNAL_GET);
	assert_true(has(j, &a, 1));
	journal_free(j);
}

static void test_dir(void **state)
{
	struct journal *j;
	struct stat st;
	char *sub = strdup(in(dir, "state/pqc"));

	(void)state;
	assert_int_equal(journal_open(sub, JOURNAL_PUT, key, &j, &e), 0);
	journal_free(j);
	assert_int_equal(stat(sub, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	free(sub);
	write_file(in(dir, "file"), "", 0);
	assert_int_not_equal(journal_open(in(dir, "file"), JOURNAL_PUT, key, &j, &e), 0);
	/* a link in its place */
	write_file(in(dir, "target"), "precious", 8);
	assert_int_equal(symlink("target", journal_path()), 0);
	assert_int_not_equal(journal_open(dir, JOURNAL_PUT, key, &j, &e), 0);
	assert_true(e.msg[0] != '\0');
}

static void test_lock(void **state)
{
	struct journal *j = open_put(), *other;
	uint8_t other_key[32] = {9};
	int status;

	(void)state;
	assert_int_equal(journal_open(dir, JOURNAL_PUT, key, &other, &e), PQC_ETEMP);
	assert_non_null(strstr(e.msg, "another process"));
	if (fork() == 0) {
		journal_free(j); /* that of the child; the parent's lock stands */
		_exit(journal_open(dir, JOURNAL_PUT, key, &other, &e) == PQC_ETEMP ? 0 : 1);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	assert_int_equal(journal_open(dir, JOURNAL_PUT, other_key, &other, &e), 0);
	journal_free(other);
	journal_free(j);
	journal_free(open_put());
}

/* A journal removed under a waiting opener is not the one it gets. */
static void test_removed_while_open(void **state)
{
	struct journal *j = open_put(), *next;

	(void)state;
	assert_int_equal(journal_start(j, &a.h, print_a, &e), 0);
	assert_int_equal(journal_remove(j, &e), 0);
	next = open_put(); /* j still holds the lock on the file that is gone */
	is_empty(next);
	assert_int_equal(journal_start(next, &a.h, print_a, &e), 0);
	note(next, &a, 3);
	journal_free(j);
	journal_free(next);
	next = open_put();
	assert_true(has(next, &a, 3));
	journal_free(next);
}

/* Every bit of the file changed: what it then holds is right, or counts as absent. */
static void test_damage(void **state)
{
	struct journal *j = open_put();
	uint8_t good[HEAD_LEN + 2 * 40], bad[sizeof(good)];
	int fd;

	(void)state;
	assert_int_equal(journal_start(j, &a.h, print_a, &e), 0);
	note(j, &a, 0);
	note(j, &a, 1);
	journal_free(j);
	assert_true((fd = open(journal_path(), O_RDWR)) >= 0);
	assert_int_equal(pread(fd, good, sizeof(good), 0), sizeof(good));
	for (size_t bit = 0; bit < 8 * sizeof(good); bit++) {
		size_t at = bit / 8;

		memcpy(bad, good, sizeof(bad));
		bad[at] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(pwrite(fd, bad, sizeof(bad), 0), sizeof(bad));
		j = open_put();
		if (at < 6) {
			is_empty(j);
		} else if (at < 38) {
			assert_memory_not_equal(journal_fingerprint(j), print_a, 32);
		} else if (at < HEAD_LEN) {
			assert_false(has(j, &a, 0));
			assert_false(has(j, &a, 1));
		} else {
			assert_int_equal(has(j, &a, 0), at >= HEAD_LEN + 40);
			assert_int_equal(has(j, &a, 1), at < HEAD_LEN + 40);
		}
		journal_free(j);
	}
	for (size_t len = 0; len < sizeof(good); len++) {
		assert_int_equal(pwrite(fd, good, sizeof(good), 0), sizeof(good));
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		j = open_put();
		assert_int_equal(journal_header(j) != NULL, len >= HEAD_LEN);
		assert_int_equal(has(j, &a, 0), len >= HEAD_LEN + 40);
		assert_false(has(j, &a, 1));
		journal_free(j);
	}
	close(fd);
	for (unsigned seed = 0; seed < 50; seed++) {
		for (size_t i = 0; i < sizeof(bad); i++)
			bad[i] = (uint8_t)(seed * 31 + i * (seed + 7));
		write_file(journal_path(), bad, sizeof(bad));
		j = open_put();
		is_empty(j);
		assert_int_equal(journal_start(j, &a.h, print_a, &e), 0);
		assert_false(has(j, &a, 0));
		journal_free(j);
	}
}

/* Killed at each call: what journal_put had returned for is there. */
static void test_deaths(void **state)
{
	bool done = false;
	int status, fds[2];

	(void)state;
	for (unsigned n = 1; !done; n++) {
		uint8_t byte, put = 0;
		pid_t pid;

		unlink(journal_path());
		assert_int_equal(pipe(fds), 0);
		if ((pid = fork()) == 0) {
			sysfault_set(SYSFAULT_DIE, n, 0);
			struct journal *j = open_put();

			if (journal_start(j, &a.h, print_a, &e) != 0)
				_exit(1);
			for (uint64_t i = 0; i < 5; i++) {
				uint8_t leaf[HASH_MAX];

				leaf_fill(&a, i, leaf);
				if (journal_put(j, i, leaf, &e) != 0 ||
				    syscall(SYS_write, fds[1], "+", 1) != 1)
					_exit(1);
			}
			_exit(0);
		}
		close(fds[1]);
		while (read(fds[0], &byte, 1) == 1)
			put++;
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_in_set(WEXITSTATUS(status), ((uint64_t[]){0, SYSFAULT_EXIT}), 2);
		done = WEXITSTATUS(status) == 0;
		struct journal *j = open_put();

		for (uint64_t i = 0; i < 5; i++)
			assert_true(has(j, &a, i) || i >= put);
		if (put > 0)
			assert_memory_equal(journal_header(j)->raw, a.h.raw, PQX_HEADER_LEN);
		journal_free(j);
	}
}

static void test_failures(void **state)
{
	bool reached = true;
	unsigned n;

	(void)state;
	for (n = 1; reached; n++) {
		struct journal *j = NULL;
		uint8_t leaf[HASH_MAX];
		unsigned fds = count_fds();

		unlink(journal_path());
		leaf_fill(&a, 0, leaf);
		sysfault_set(SYSFAULT_FAIL, n, 0);
		int rc = journal_open(dir, JOURNAL_PUT, key, &j, &e);

		if (rc == 0 && (rc = journal_start(j, &a.h, print_a, &e)) == 0 &&
		    (rc = journal_put(j, 0, leaf, &e)) == 0 && (rc = journal_sync(j, &e)) == 0)
			rc = journal_remove(j, &e);
		reached = sysfault.count >= n;
		sysfault_set(SYSFAULT_OFF, 0, 0);
		assert_int_equal(rc != 0, reached);
		assert_true(rc == 0 || (e.code == rc && strlen(e.msg) > 5));
		journal_free(j);
		assert_int_equal(count_fds(), fds);
		j = open_put();
		assert_int_equal(journal_start(j, &b.h, print_b, &e), 0);
		note(j, &b, 1);
		assert_true(has(j, &b, 1));
		assert_false(has(j, &b, 0));
		journal_free(j);
	}
	assert_in_range(n, 8, 40);
}

static struct journal *shared;

static void *put_some(void *arg)
{
	for (uint64_t i = (uintptr_t)arg; i < 400; i += 4) {
		uint8_t leaf[HASH_MAX];

		leaf_fill(&a, i, leaf);
		if (journal_put(shared, i, leaf, NULL) != 0)
			return arg;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[4];

	(void)state;
	shared = open_put();
	assert_int_equal(journal_start(shared, &a.h, print_a, &e), 0);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, put_some, (void *)i), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (uint64_t i = 0; i < 400; i++)
		assert_true(has(shared, &a, i));
	assert_int_equal(journal_slots(shared), 400);
	journal_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_life),
		T(test_kinds),
		T(test_dir),
		T(test_lock),
		T(test_removed_while_open),
		T(test_damage),
		T(test_deaths),
		T(test_failures),
		T(test_threads),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
