/* One directory, several processes at once: names, listing, the receipt log, sweeping, dying. */
#include "store_child.h"

#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

/* The clock of this program, so that the file system's may differ from it. */
static int64_t clock_ahead;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_REALTIME)
		t->tv_sec += clock_ahead;
	return rc;
}

static char *dir;
static struct store *s;
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	child_dir = dir;
	s = store_at(dir);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	clock_ahead = 0;
	store_close(s);
	scratch_free(dir);
	return 0;
}

/* As thing_put, for a child: false instead of a failed test. */
static bool put(struct store *own, const struct thing *t)
{
	struct upload *u;
	bool done;

	if (thing_begin(own, t, false, &u, NULL) != 0)
		return false;
	done = thing_part(u, t, 0, NULL) == 0 && thing_part(u, t, 1, NULL) == 0 &&
	       thing_part(u, t, 2, NULL) == 0 && thing_commit(u, t, NULL) == 0;
	upload_free(u);
	return done;
}

static unsigned sweep_all(void)
{
	unsigned removed;

	if (store_sweep(s, LATER, &removed, &e) != 0)
		fail_msg("%s", e.msg);
	return removed;
}

static void usage_is(uint64_t objects)
{
	uint64_t bytes, n;

	assert_int_equal(store_usage(s, NULL, &bytes, &n, &e), 0);
	assert_int_equal(n, objects);
	assert_int_equal(bytes, objects * pqx_body_len(PART, thing_size()));
}

/* ---- the layout ---- */

#define OPENERS 8

static int open_and_put(unsigned number)
{
	struct store *own = NULL;
	struct thing t;
	char name[32];

	if (store_open(&own, in(dir, "deep/fresh"), NULL) != 0)
		return 1;
	snprintf(name, sizeof(name), "by/%u", number);
	thing_new(&t, SUITE_KYBER768, name, alice, (uint8_t)number);
	return put(own, &t) ? 0 : 1;
}

static int count_one_name(void *arg, const struct object_info *info)
{
	(void)info;
	++*(unsigned *)arg;
	return 0;
}

static void test_first_opening(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		char cursor[65] = "";
		unsigned n = 0;
		bool more;

		all_at_once(OPENERS, open_and_put);
		struct store *own = store_at(in(dir, "deep/fresh"));

		assert_int_equal(store_list(own, cursor, count_one_name, &n, &more, &e), 0);
		assert_int_equal(n, OPENERS);
		store_close(own);
		scratch_empty(in(dir, "deep"));
	}
}

/* ---- one name ---- */

#define RIVALS 4
#define TRIES  15

static struct thing rivals[RIVALS][TRIES];

static int commit_to_one_name(unsigned number)
{
	struct store *own = store_at(dir);

	for (unsigned i = 0; i < TRIES; i++)
		if (!put(own, &rivals[number][i]))
			return 1;
	store_empty_trash(own);
	return 0;
}

static void test_one_name(void **state)
{
	const struct thing *all[RIVALS * TRIES];
	struct upload *u;
	int means;

	(void)state;
	for (unsigned i = 0; i < RIVALS * TRIES; i++) {
		struct thing *t = &rivals[i / TRIES][i % TRIES];

		thing_new(t, SUITE_KYBER768, "the/name", alice, (uint8_t)i);
		all[i] = t;
	}
	all_at_once(RIVALS, commit_to_one_name);
	means = name_means(s, "the/name", all, RIVALS * TRIES);
	assert_int_equal(means % TRIES, TRIES - 1); /* the last of somebody */
	for (int i = 0; i < RIVALS * TRIES; i++) {
		if (i == means)
			continue;
		assert_int_equal(thing_resume(s, all[i], &u, &e), PQC_ENOTFOUND);
	}
	assert_int_equal(count_files(in(dir, "objects"), NULL), 6); /* without a sweep */
	usage_is(1);
	assert_int_equal(sweep_all(), 0);
	name_is(s, all[means]);
}

/* While a name is replaced all the time, whoever reads finds it, whole, and lists it once. */
static int replace_or_read(unsigned number)
{
	struct store *own = store_at(dir);
	struct object *o;
	struct thing t;
	bool more;

	for (unsigned i = 0; number < 2 && i < 150; i++) {
		thing_new(&t, SUITE_KYBER768, "the/name", alice, (uint8_t)i);
		if (!put(own, &t))
			return 1;
		store_empty_trash(own);
	}
	for (unsigned i = 0; number == 2 && i < 3000; i++) {
		if (object_open(own, "the/name", &o, NULL) != 0)
			return 2;
		object_free(o);
	}
	for (unsigned i = 0; number == 3 && i < 3000; i++) {
		char cursor[65] = "";
		unsigned n = 0;

		if (store_list(own, cursor, count_one_name, &n, &more, NULL) != 0 || n != 1)
			return 3;
	}
	return 0;
}

static void test_readers(void **state)
{
	struct thing t;

	(void)state;
	thing_new(&t, SUITE_KYBER768, "the/name", alice, 1);
	thing_put(s, &t);
	all_at_once(4, replace_or_read);
}

static int told_fd[2];

/* Two owners want one name: one has it, the other is refused, and does not take it away. */
static int commit_as_own(unsigned number)
{
	struct store *own = store_at(dir);
	struct upload *u;
	int rc = 0;

	for (unsigned i = 0; i < TRIES && rc == 0; i++) {
		struct thing *t = &rivals[number][i];

		if ((rc = thing_begin(own, t, false, &u, NULL)) != 0)
			break;
		for (uint64_t k = 0; k < PARTS && rc == 0; k++)
			rc = thing_part(u, t, k, NULL);
		if (rc == 0 && (rc = thing_commit(u, t, NULL)) == 0)
			rc = write(told_fd[number], "x", 1) == 1 ? 0 : 1;
		upload_free(u);
	}
	return rc == 0 || rc == PQC_EREFUSED ? 0 : 1;
}

static void test_two_owners(void **state)
{
	char done[2][TRIES + 1];
	ssize_t n[2];
	int fds[2][2];

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		char name[32];

		snprintf(name, sizeof(name), "name/%u", round);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(pipe2(fds[i], O_CLOEXEC | O_NONBLOCK), 0);
			told_fd[i] = fds[i][1];
			for (unsigned k = 0; k < TRIES; k++)
				thing_new(&rivals[i][k], SUITE_KYBER768, name, i ? bob : alice,
					  (uint8_t)k);
		}
		all_at_once(2, commit_as_own);
		for (unsigned i = 0; i < 2; i++) {
			n[i] = read(fds[i][0], done[i], sizeof(done[i]));
			close(fds[i][0]);
			close(fds[i][1]);
		}
		/* one of them all, the other none */
		assert_true((n[0] == TRIES && n[1] < 0) || (n[1] == TRIES && n[0] < 0));
		name_is(s, &rivals[n[0] == TRIES ? 0 : 1][TRIES - 1]);
	}
}

/* ---- many small objects, and the receipt log ---- */

#define WORKERS 4
#define SMALL	40

static int log_fd;

static int put_many(unsigned number)
{
	struct store *own = store_at(dir);
	uint8_t core[SHA512_LEN] = {0}, root[HASH_MAX];
	struct thing t;
	char name[32];
	uint64_t entry[2];
	unsigned removed;

	for (unsigned i = 0; i < SMALL; i++) {
		snprintf(name, sizeof(name), "many/%u", number * SMALL + i);
		thing_new(&t, SUITE_KYBER768, name, alice, (uint8_t)i);
		entry[1] = number * SMALL + i;
		memcpy(core, &entry[1], sizeof(entry[1]));
		if (store_log_append(own, t.h.suite, core, &entry[0], root, NULL) != 0 ||
		    write(log_fd, entry, sizeof(entry)) != sizeof(entry) || !put(own, &t))
			return 1;
		if (i % 10 == number && store_sweep(own, 1, &removed, NULL) != 0)
			return 2;
		if (i % 10 == 5)
			store_empty_trash(own);
	}
	return 0;
}

static int see(void *arg, const struct object_info *info)
{
	unsigned *seen = arg, i;

	assert_int_equal(sscanf(info->name, "many/%u", &i), 1);
	assert_true(i < WORKERS * SMALL);
	seen[i]++;
	return 0;
}

/* The log has each entry where its writer was told that it is, and nothing else. */
static void check_log(int fd)
{
	static const uint8_t tag = 0x00;
	const struct suite *suite = suite_by_id(SUITE_KYBER768);
	uint8_t core[SHA512_LEN] = {0}, number[8], root[HASH_MAX], want[HASH_MAX], leaf[HASH_MAX];
	const struct span in_entry[] = {{&tag, 1}, {number, 8}, {core, sizeof(core)}};
	uint64_t told[WORKERS * SMALL], entry[2], index;
	struct tree tree;

	memset(told, 0xff, sizeof(told));
	for (unsigned i = 0; i < WORKERS * SMALL; i++) {
		assert_int_equal(read(fd, entry, sizeof(entry)), sizeof(entry));
		assert_true(entry[0] < WORKERS * SMALL);
		assert_int_equal(told[entry[0]], UINT64_MAX);
		told[entry[0]] = entry[1];
	}
	tree_init(&tree, suite);
	for (uint64_t i = 0; i <= WORKERS * SMALL; i++) {
		memset(core, 0, sizeof(core));
		if (i < WORKERS * SMALL)
			memcpy(core, &told[i], sizeof(told[i]));
		be64_put(number, i);
		assert_int_equal(tree_hash(suite, in_entry, 3, leaf), 0);
		assert_int_equal(tree_add(&tree, leaf), 0);
	}
	/* core is that of one more */
	assert_int_equal(store_log_append(s, suite, core, &index, root, &e), 0);
	assert_int_equal(index, WORKERS * SMALL);
	assert_int_equal(tree_root(&tree, want), 0);
	assert_memory_equal(root, want, suite->hash_len);
}

static void test_many(void **state)
{
	unsigned seen[WORKERS * SMALL] = {0};
	char cursor[65] = "";
	int fds[2];
	bool more;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	log_fd = fds[1];
	all_at_once(WORKERS, put_many);
	assert_int_equal(store_list(s, cursor, see, seen, &more, &e), 0);
	for (unsigned i = 0; i < WORKERS * SMALL; i++)
		assert_int_equal(seen[i], 1);
	usage_is(WORKERS * SMALL);
	assert_int_equal(count_files(in(dir, "objects"), NULL), 6 * WORKERS * SMALL);
	check_log(fds[0]);
	close(fds[0]);
	close(fds[1]);
}

/* ---- sweeping and the trash ---- */

#define ABANDONED 30

static int swept_fd;

static int sweep_some(unsigned number)
{
	struct store *own = store_at(dir);
	unsigned removed;

	(void)number;
	for (unsigned i = 0; i < 5; i++)
		if (store_sweep(own, LATER, &removed, NULL) != 0 ||
		    write(swept_fd, &removed, sizeof(removed)) != sizeof(removed))
			return 1;
	return 0;
}

static void test_two_sweeps(void **state)
{
	unsigned removed, sum = 0;
	struct upload *u;
	struct thing t, kept;
	int fds[2], fd;

	(void)state;
	thing_new(&kept, SUITE_KYBER768, "kept", alice, 1);
	thing_put(s, &kept);
	for (unsigned i = 0; i < ABANDONED; i++) {
		thing_new(&t, SUITE_KYBER768, "left", alice, (uint8_t)i);
		assert_int_equal(thing_begin(s, &t, false, &u, &e), 0);
		upload_free(u);
	}
	/* While another is at it nothing is done. */
	assert_true((fd = open(in(dir, "sweep"), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	removed = 99;
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 0);
	usage_is(ABANDONED + 1);
	close(fd);
	assert_int_equal(pipe(fds), 0);
	swept_fd = fds[1];
	all_at_once(2, sweep_some);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(read(fds[0], &removed, sizeof(removed)), sizeof(removed));
		sum += removed;
	}
	assert_int_equal(sum, ABANDONED); /* each by one */
	usage_is(1);
	assert_int_equal(count_files(in(dir, "trash"), NULL), 0);
	name_is(s, &kept);
	close(fds[0]);
	close(fds[1]);
}

static int empty_some(unsigned number)
{
	struct store *own = store_at(dir);

	(void)number;
	for (unsigned i = 0; i < 10; i++)
		store_empty_trash(own);
	return 0;
}

static unsigned entries_in(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static void test_trash(void **state)
{
	struct thing t;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ABANDONED; i++) {
			thing_new(&t, SUITE_KYBER768, "gone", alice, (uint8_t)i);
			thing_put(s, &t);
			assert_int_equal(store_delete(s, "gone", alice, &e), 0);
		}
		assert_int_equal(entries_in(in(dir, "trash")), ABANDONED);
		all_at_once(3, empty_some);
		assert_int_equal(entries_in(in(dir, "trash")), 0);
	}
}

/* ---- dying ---- */

#define VICTIMS 12

static int done_fd;

/* Puts until it is killed, telling of each that it has put. */
static void put_for_ever(unsigned number)
{
	struct store *own = store_at(dir);
	struct thing t;
	char name[32];

	for (unsigned i = 0;; i++) {
		const uint32_t told[2] = {number, i};

		snprintf(name, sizeof(name), "%u/%u", number, i % 5);
		thing_new(&t, SUITE_KYBER768, name, number % 2 ? alice : bob, (uint8_t)i);
		if (!put(own, &t) || write(done_fd, told, sizeof(told)) != sizeof(told))
			_exit(1);
	}
}

/* Processes are killed at work, at whatever they are; the others go on, and what was told stays. */
static void test_killed(void **state)
{
	uint32_t told[2], last[VICTIMS] = {0};
	struct object *o;
	pid_t pid[VICTIMS];
	char name[32];
	int fds[2], status;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	done_fd = fds[1];
	for (unsigned i = 0; i < VICTIMS; i++) {
		if (i >= 3) { /* three at once; each lives until twenty more were put, by any */
			for (unsigned k = 0; k < 20; k++) {
				assert_int_equal(read(fds[0], told, sizeof(told)), sizeof(told));
				last[told[0]] = told[1] + 1;
			}
			assert_int_equal(kill(pid[i - 3], SIGKILL), 0);
			assert_int_equal(waitpid(pid[i - 3], &status, 0), pid[i - 3]);
			assert_true(WIFSIGNALED(status));
		}
		assert_true((pid[i] = fork()) >= 0);
		if (pid[i] == 0)
			put_for_ever(i);
	}
	for (unsigned i = VICTIMS - 3; i < VICTIMS; i++) {
		assert_int_equal(kill(pid[i], SIGKILL), 0);
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFSIGNALED(status));
	}
	close(fds[1]);
	while (read(fds[0], told, sizeof(told)) == sizeof(told))
		last[told[0]] = told[1] + 1;
	close(fds[0]);
	for (unsigned i = 0; i < VICTIMS; i++)
		for (unsigned k = 0; k < last[i] && k < 5; k++) {
			snprintf(name, sizeof(name), "%u/%u", i, k);
			if (object_open(s, name, &o, &e) != 0)
				fail_msg("%s: %s", name, e.msg);
			object_free(o);
		}
	sweep_all();
	unsigned names = count_files(in(dir, "names"), NULL);

	assert_int_equal(count_files(in(dir, "objects"), NULL), 6 * names);
	usage_is(names);
}

/* ---- the health check ---- */

static void test_probe(void **state)
{
	int64_t offset = 99;

	(void)state;
	unsigned files = count_files(dir, NULL), fds = count_fds(), removed;

	assert_int_equal(store_probe(s, &offset, &e), 0);
	assert_int_equal(offset, 0);
	clock_ahead = 100;
	assert_int_equal(store_probe(s, &offset, &e), 0);
	assert_in_range(-offset, 98, 100);
	clock_ahead = -100;
	assert_int_equal(store_probe(s, &offset, &e), 0);
	assert_in_range(offset, 98, 100);
	clock_ahead = 0;
	assert_int_equal(count_files(dir, NULL), files);
	assert_int_equal(count_fds(), fds);
	/* what a crash left of one is for the sweep */
	write_file(in(dir, ".pqc-tmp-probe-1"), "x", 1);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(access(in(dir, ".pqc-tmp-probe-1"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_first_opening), T(test_one_name), T(test_two_owners),
		T(test_readers),       T(test_many),	 T(test_two_sweeps),
		T(test_trash),	       T(test_killed),	 T(test_probe),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
