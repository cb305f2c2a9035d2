/* The receipt log: entries and roots, restarts, crashes, several writers. */
#include "sysfault.h"

#include "store_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

static char *dir;
static struct store *s;
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	s = store_at(dir);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sysfault_set(SYSFAULT_OFF, 0, 0);
	store_close(s);
	scratch_free(dir);
	return 0;
}

static void core_fill(uint64_t i, uint8_t core[SHA512_LEN])
{
	memset(core, (int)(i * 7 + 1), SHA512_LEN);
	core[0] = (uint8_t)(i >> 8);
}

/* docs/container.md, "Receipt": the root over entries 0..n-1, entry k of core_fill(k). */
static void expect_root(const struct suite *suite, uint64_t n, uint8_t *root)
{
	struct tree t;

	tree_init(&t, suite);
	for (uint64_t i = 0; i < n; i++) {
		uint8_t bytes[1 + 8 + SHA512_LEN] = {0}, entry[HASH_MAX];

		for (int k = 0; k < 8; k++)
			bytes[1 + k] = (uint8_t)(i >> (56 - 8 * k));
		core_fill(i, bytes + 9);
		assert_int_equal(tree_hash(suite, &(struct span){bytes, sizeof(bytes)}, 1, entry),
				 0);
		assert_int_equal(tree_add(&t, entry), 0);
	}
	assert_int_equal(tree_root(&t, root), 0);
}

/* Append entry i, which is to be at index i. */
static void append(const struct suite *suite, uint64_t i)
{
	uint8_t core[SHA512_LEN], root[HASH_MAX], want[HASH_MAX];
	uint64_t index;

	core_fill(i, core);
	if (store_log_append(s, suite, core, &index, root, &e) != 0)
		fail_msg("%s", e.msg);
	assert_int_equal(index, i);
	expect_root(suite, i + 1, want);
	assert_memory_equal(root, want, suite->hash_len);
}

static const char *log_path(const struct suite *suite)
{
	char name[32];

	snprintf(name, sizeof(name), "receipts-%u.log", suite->id);
	return in(dir, name);
}

static uint64_t log_size(const struct suite *suite)
{
	struct stat st;

	return stat(log_path(suite), &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void test_append(void **state)
{
	(void)state;
	for (unsigned id = 1; id <= 2; id++) {
		const struct suite *suite = suite_by_id(id);

		for (uint64_t i = 0; i < 300; i++) {
			append(suite, i);
			if (i % 37 == 0) { /* a restart changes nothing */
				store_close(s);
				s = store_at(dir);
			}
		}
		assert_int_equal(log_size(suite), 300 * suite->hash_len);
	}
	/* The two do not mix. */
	append(suite_by_id(1), 300);
	append(suite_by_id(2), 300);
	append(suite_by_id(1), 301);
}

static void test_half_entry(void **state)
{
	const struct suite *suite = suite_by_id(2);

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		append(suite, i);
	store_close(s);
	for (uint64_t len = 5 * suite->hash_len; len-- > 4 * suite->hash_len;) {
		assert_int_equal(truncate(log_path(suite), (off_t)len), 0);
		s = store_at(dir);
		append(suite, 4);
		store_close(s);
	}
	s = store_at(dir);
	append(suite, 5);
}

/* Entries that another process appended are taken up. */
static void test_others(void **state)
{
	const struct suite *suite = suite_by_id(1);
	uint8_t kept[3 * 32];
	int fd;

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		append(suite, i);
	assert_true((fd = open(log_path(suite), O_RDWR)) >= 0);
	assert_int_equal(pread(fd, kept, sizeof(kept), 2 * 32), sizeof(kept));
	store_close(s);
	assert_int_equal(ftruncate(fd, 2 * 32), 0);
	s = store_at(dir);
	append(suite, 2);
	assert_int_equal(pwrite(fd, kept, sizeof(kept), 2 * 32), sizeof(kept));
	append(suite, 5);
	/* A log that lost entries is not gone on with. */
	uint8_t core[SHA512_LEN] = {0}, root[HASH_MAX];
	uint64_t index = 77;

	assert_int_equal(ftruncate(fd, 5 * 32), 0);
	assert_int_equal(store_log_append(s, suite, core, &index, root, &e), PQC_EINTEGRITY);
	assert_non_null(strstr(e.msg, "shorter"));
	assert_int_equal(index, 77);
	close(fd);
}

static void test_link(void **state)
{
	uint8_t core[SHA512_LEN] = {0}, root[HASH_MAX];
	char *outside = scratch_new();
	uint64_t index;

	(void)state;
	write_file(in(outside, "file"), "", 0);
	assert_int_equal(symlink(in(outside, "file"), log_path(suite_by_id(1))), 0);
	assert_int_not_equal(store_log_append(s, suite_by_id(1), core, &index, root, &e), 0);
	assert_non_null(strstr(e.msg, "receipt log"));
	struct stat st;

	assert_int_equal(stat(in(outside, "file"), &st), 0);
	assert_int_equal(st.st_size, 0);
	scratch_free(outside);
}

/* Each call of an append fails, in turn; the log goes on as if it had not been. */
static void test_failures(void **state)
{
	const struct suite *suite = suite_by_id(1);
	uint8_t core[SHA512_LEN], root[HASH_MAX];
	uint64_t index, next = 0;
	unsigned failed = 0;
	bool reached = true;

	(void)state;
	for (unsigned n = 1; reached; n++) {
		store_close(s); /* so that opening is part of it */
		s = store_at(dir);
		core_fill(next, core);
		sysfault_set(SYSFAULT_FAIL, n, 0);
		int rc = store_log_append(s, suite, core, &index, root, &e);

		reached = sysfault.count >= n;
		sysfault_set(SYSFAULT_OFF, 0, 0);
		failed += rc != 0;
		next += rc == 0;
		assert_int_equal(rc == 0, !reached);
		append(suite, next++);
		assert_int_equal(log_size(suite), next * suite->hash_len);
	}
	assert_in_range(failed, 4, 20);
}

static void test_deaths(void **state)
{
	const struct suite *suite = suite_by_id(1);
	bool done = false;
	int status;

	(void)state;
	store_close(s);
	for (unsigned n = 1; !done; n++) {
		pid_t pid;

		scratch_empty(dir);
		s = store_at(dir);
		append(suite, 0);
		append(suite, 1);
		store_close(s);
		if ((pid = fork()) == 0) {
			uint8_t core[SHA512_LEN], root[HASH_MAX];
			uint64_t index;

			s = store_at(dir);
			core_fill(2, core);
			sysfault_set(SYSFAULT_DIE, n, 0);
			_exit(store_log_append(s, suite, core, &index, root, &e) == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_in_set(WEXITSTATUS(status), ((uint64_t[]){0, SYSFAULT_EXIT}), 2);
		done = WEXITSTATUS(status) == 0;
		s = store_at(dir);
		/* Whether or not the third is in it, what follows is right. */
		uint64_t have = log_size(suite) / suite->hash_len;

		assert_in_range(have, done ? 3 : 2, 3);
		append(suite, have);
		append(suite, have + 1);
		store_close(s);
	}
	s = store_at(dir);
}

static void *append_some(void *arg)
{
	bool *seen = arg;

	for (unsigned i = 0; i < 50; i++) {
		uint8_t core[SHA512_LEN] = {0}, root[HASH_MAX];
		struct err why = {0};
		uint64_t index;

		if (store_log_append(s, suite_by_id(1), core, &index, root, &why) != 0)
			return why.msg[0] != '\0' ? arg : NULL;
		__atomic_store_n(&seen[index], true, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void test_threads(void **state)
{
	bool seen[200] = {false};
	pthread_t t[4];
	void *failed;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, append_some, seen), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &failed);
		assert_null(failed);
	}
	for (int i = 0; i < 200; i++)
		assert_true(seen[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_append),	  T(test_half_entry), T(test_others),  T(test_link),
		T(test_failures), T(test_deaths),     T(test_threads),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
