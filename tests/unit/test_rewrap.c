/* Changing who can open a container in place, and every moment at which that may be interrupted. */
#include "sysfault.h"

#include "sealed_io.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>

#define SIDE "file" REWRAP_SUFFIX

static uint8_t *data;
static size_t cap;
static char dir_name[64];
static int dir;

static int setup(void **state)
{
	cap = pqx_part_capacity(PART);
	data = noise(4 * cap);
	snprintf(dir_name, sizeof(dir_name), "/tmp/pqc-rewrap-XXXXXX");
	if (mkdtemp(dir_name) == NULL)
		return -1;
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 ? people_new(state) : -1;
}

static int teardown(void **state)
{
	int r;

	close(dir);
	r = rmdir(dir_name); /* empty, or the tests forgot something */
	free(data);
	return people_free(state) != 0 ? -1 : r;
}

/* Whatever is there: a process that dies leaves its temporary file. */
static int clean(void **state)
{
	DIR *d = fdopendir(dup(dir));
	const struct dirent *entry;

	(void)state;
	assert_non_null(d);
	rewinddir(d);
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(d);
	return 0;
}

static struct bytes slurp(const char *name)
{
	struct bytes b = {malloc(OUT_MAX), 0};
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	assert_non_null(b.p);
	assert_true(fd >= 0);
	assert_int_equal(file_read(fd, b.p, OUT_MAX, &b.n, NULL), 0);
	close(fd);
	return b;
}

static void spill(const char *name, const uint8_t *p, size_t n)
{
	assert_int_equal(file_replace(dir, name, p, n, 0600, NULL), 0);
}

/* "file" of two parts, which alice, bob and the raw key open. */
static struct bytes make(void)
{
	const struct public_identity *to[] = {identity_public(alice[1]), identity_public(bob[2])};
	struct seal_call s = {
		.o = {.part_size = PART,
		      .whom = {.recipients = to, .nrecipients = 2, .raw_key = the_key},
		      .sign = alice[1]}};
	struct bytes in = {data, cap + 1}, out;

	assert_int_equal(pass(seal_op, &s, FILES, &in, &out), 0);
	spill("file", out.p, out.n);
	return out;
}

static int try_open(struct open_keys keys)
{
	struct bytes b = slurp("file"), out;
	struct open_call o = {.o = {.keys = keys, .threads = 1}};
	int r = pass(open_op, &o, FILES, &b, &out);

	if (r == 0) {
		assert_int_equal(out.n, cap + 1);
		assert_memory_equal(out.p, data, out.n);
	}
	free(b.p);
	free(out.p);
	return r;
}

static bool side_exists(void)
{
	return faccessat(dir, SIDE, F_OK, 0) == 0;
}

static int rewrap(struct rewrap_opts *o, uint32_t *generation)
{
	struct err e = {0};
	int r;

	o->dirfd = dir;
	o->path = "file";
	r = rewrap_file(o, generation, &e);
	assert_int_equal(e.code, r);
	assert_false(side_exists());
	return r;
}

static void add_and_remove(void **state)
{
	const struct public_identity *carol[] = {identity_public(alice[2])};
	uint8_t gone[1][ID_LEN];
	struct bytes before = make(), after;
	struct rewrap_opts o = {.keys = {.identity = alice[1]},
				.remove = (const uint8_t(*)[ID_LEN])gone,
				.nremove = 1,
				.add = {.recipients = carol, .nrecipients = 1}};
	uint32_t generation;

	(void)state;
	memcpy(gone[0], identity_public(bob[2])->id, ID_LEN);
	assert_int_equal(try_open((struct open_keys){.identity = alice[2]}), PQC_ENOKEY);
	assert_int_equal(rewrap(&o, &generation), 0);
	assert_int_equal(generation, 2);
	assert_int_equal(try_open((struct open_keys){.identity = alice[2]}), 0);
	assert_int_equal(try_open((struct open_keys){.identity = alice[1]}), 0);
	assert_int_equal(try_open((struct open_keys){.raw_key = the_key}), 0);
	assert_int_equal(try_open((struct open_keys){.identity = bob[2]}), PQC_ENOKEY);
	after = slurp("file"); /* header, parts and manifest were not touched */
	assert_int_equal(after.n, before.n);
	assert_memory_equal(after.p, before.p, PQX_HEADER_LEN);
	assert_memory_equal(after.p + PQX_BODY_OFFSET, before.p + PQX_BODY_OFFSET,
			    before.n - PQX_BODY_OFFSET);
	free(before.p);
	free(after.p);
}

static void to_a_passphrase_and_back(void **state)
{
	static const struct argon2_params cheap = {8192, 1, 1};
	const struct public_identity *to[] = {identity_public(bob[1])};
	struct rewrap_opts lock = {.keys = {.raw_key = the_key},
				   .remove_all = true,
				   .add = {.passphrase = "word", .argon = &cheap}};
	struct rewrap_opts back = {.keys = {.passphrase = "word"},
				   .add = {.recipients = to, .nrecipients = 1}};
	struct bytes b = make();

	(void)state;
	assert_int_equal(rewrap(&lock, NULL), 0);
	assert_int_equal(try_open((struct open_keys){.passphrase = "word"}), 0);
	assert_int_equal(try_open((struct open_keys){.raw_key = the_key}), PQC_EPASSPHRASE);
	assert_int_equal(rewrap(&back, NULL), PQC_EUSAGE); /* a passphrase stands alone */
	back.remove_all = true;
	assert_int_equal(rewrap(&back, NULL), 0);
	assert_int_equal(try_open((struct open_keys){.identity = bob[1]}), 0);
	assert_int_equal(try_open((struct open_keys){.passphrase = "word"}), PQC_ENOKEY);
	free(b.p);
}

/* Nothing happens to the file when the change is refused. */
static void refusals(void **state)
{
	static const uint8_t wrong[KEY_LEN] = {1}, nobody[1][ID_LEN] = {{1}};
	struct rewrap_opts all = {.keys = {.raw_key = the_key}, .remove_all = true};
	struct rewrap_opts key = {.keys = {.raw_key = wrong}, .add = {.raw_key = wrong}};
	struct rewrap_opts who = {.keys = {.raw_key = the_key}, .remove = nobody, .nremove = 1};
	struct bytes before = make(), after;
	int lock;

	(void)state;
	assert_int_equal(rewrap(&all, NULL), PQC_EUSAGE);
	assert_int_equal(rewrap(&key, NULL), PQC_ENOKEY);
	assert_int_equal(rewrap(&who, NULL), PQC_ENOTFOUND);
	key.keys.raw_key = the_key;
	lock = openat(dir, "file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0); /* somebody else is at it */
	assert_int_equal(rewrap(&key, NULL), PQC_ETEMP);
	close(lock);
	after = slurp("file");
	assert_int_equal(after.n, before.n);
	assert_memory_equal(after.p, before.p, before.n);
	flip(before.p, 8 * 300); /* damaged: not a key block to build upon */
	spill("file", before.p, before.n);
	assert_int_equal(rewrap(&key, NULL), PQC_EINTEGRITY);
	spill("file", before.p, 1000);
	assert_int_equal(rewrap(&key, NULL), PQC_EINTEGRITY);
	unlinkat(dir, "file", 0);
	assert_int_equal(rewrap(&key, NULL), PQC_ENOTFOUND);
	free(before.p);
	free(after.p);
}

/* ### Interruptions ### */

static int repair(void)
{
	struct err e = {0};

	return rewrap_repair(dir, "file", &e);
}

/* The container before and after bob was removed; "file" is the one before. */
static void change(struct bytes *before, struct bytes *after)
{
	uint8_t bobs[1][ID_LEN];
	struct rewrap_opts o = {.keys = {.identity = alice[1]},
				.remove = (const uint8_t(*)[ID_LEN])bobs,
				.nremove = 1};

	memcpy(bobs[0], identity_public(bob[2])->id, ID_LEN);
	*before = make();
	assert_int_equal(rewrap(&o, NULL), 0);
	*after = slurp("file");
	spill("file", before->p, before->n);
}

/*
 * Whatever of the head had reached the disk: after the side file was there the
 * change is finished, as often as it is tried.
 */
static void torn_writes(void **state)
{
	const size_t reached[] = {PQX_HEADER_LEN, 512, 1024, 4096, 8192, 65024, PQX_BODY_OFFSET};
	struct bytes before, after, now;

	(void)state;
	change(&before, &after);
	for (size_t i = 0; i < sizeof(reached) / sizeof(reached[0]); i++) {
		struct bytes torn = {malloc(before.n), before.n};

		assert_non_null(torn.p);
		memcpy(torn.p, before.p, before.n);
		memcpy(torn.p, after.p, reached[i]);
		if (reached[i] < PQX_BODY_OFFSET) /* and the block it stopped in is neither */
			memset(torn.p + reached[i], 0xff, 256);
		spill("file", torn.p, torn.n);
		spill(SIDE, after.p, PQX_BODY_OFFSET);
		assert_int_equal(repair(), 1);
		assert_false(side_exists());
		now = slurp("file");
		assert_memory_equal(now.p, after.p, after.n);
		assert_int_equal(now.n, after.n);
		assert_int_equal(repair(), 0);
		assert_int_equal(try_open((struct open_keys){.identity = alice[1]}), 0);
		assert_int_equal(try_open((struct open_keys){.identity = bob[2]}), PQC_ENOKEY);
		free(now.p);
		free(torn.p);
	}
	free(before.p);
	free(after.p);
}

/* 0: done, SYSFAULT_EXIT: died on the way, 1: failed. */
static int remove_bob_under(enum sysfault_mode mode, unsigned n)
{
	uint8_t bobs[1][ID_LEN];
	struct rewrap_opts o = {.dirfd = dir,
				.path = "file",
				.keys = {.identity = alice[1]},
				.remove = (const uint8_t(*)[ID_LEN])bobs,
				.nremove = 1};
	struct err e;
	int status;
	pid_t pid;

	memcpy(bobs[0], identity_public(bob[2])->id, ID_LEN);
	if ((pid = fork()) == 0) {
		sysfault_set(mode, n, 0);
		_exit(rewrap_file(&o, NULL, &e) == 0 ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Killed, without power, or with an error, at each system call in turn. */
static void every_call(void **state)
{
	struct bytes before, after, now;
	int r, rounds = 0, with_bob = 0;

	(void)state;
	change(&before, &after);
	for (int mode = SYSFAULT_FAIL; mode <= SYSFAULT_CUT; mode++) {
		for (unsigned n = 1;; n++, rounds++) {
			spill("file", before.p, before.n);
			r = remove_bob_under((enum sysfault_mode)mode, n);
			assert_true(repair() >= 0);
			assert_false(side_exists());
			assert_int_equal(try_open((struct open_keys){.identity = alice[1]}), 0);
			if (try_open((struct open_keys){.identity = bob[2]}) == 0) {
				assert_int_not_equal(r, 0);
				with_bob++;
			}
			now = slurp("file");
			assert_int_equal(now.n, before.n);
			assert_memory_equal(now.p + PQX_BODY_OFFSET, before.p + PQX_BODY_OFFSET,
					    before.n - PQX_BODY_OFFSET);
			free(now.p);
			if (r == 0)
				break;
			assert_int_equal(r, mode == SYSFAULT_FAIL ? 1 : SYSFAULT_EXIT);
		}
	}
	assert_true(rounds > 30);
	assert_true(with_bob > 0 && with_bob < rounds); /* both outcomes were seen */
	free(before.p);
	free(after.p);
}

/* The next rewrap finishes the last one by itself and goes on from there. */
static void rewrap_repairs(void **state)
{
	const struct public_identity *to[] = {identity_public(bob[1])};
	struct rewrap_opts o = {.keys = {.identity = alice[1]},
				.add = {.recipients = to, .nrecipients = 1}};
	struct bytes before, after;
	uint32_t generation;

	(void)state;
	change(&before, &after);
	memset(before.p + 200, 0, 3000);
	spill("file", before.p, before.n);
	spill(SIDE, after.p, PQX_BODY_OFFSET);
	assert_int_equal(rewrap(&o, &generation), 0);
	assert_int_equal(generation, 3);
	assert_int_equal(try_open((struct open_keys){.identity = bob[1]}), 0);
	assert_int_equal(try_open((struct open_keys){.identity = bob[2]}), PQC_ENOKEY);
	free(before.p);
	free(after.p);
}

/* A side file that is not this container's, or no whole one, is not used and not removed. */
static void strange_side_files(void **state)
{
	struct bytes before, after, other = make(), now;

	(void)state;
	change(&before, &after);
	spill(SIDE, other.p, PQX_BODY_OFFSET);
	assert_int_equal(repair(), PQC_EREFUSED);
	spill(SIDE, after.p, PQX_BODY_OFFSET - 1);
	assert_int_equal(repair(), PQC_EINTEGRITY);
	spill(SIDE, after.p, 0);
	assert_int_equal(repair(), PQC_EINTEGRITY);
	spill(SIDE, after.p, PQX_BODY_OFFSET + 1);
	assert_int_equal(repair(), PQC_ETOOBIG);
	after.p[PQX_HEADER_LEN] ^= 0x40;
	spill(SIDE, after.p, PQX_BODY_OFFSET);
	assert_int_equal(repair(), PQC_EINTEGRITY);
	assert_true(side_exists());
	now = slurp("file");
	assert_memory_equal(now.p, before.p, before.n);
	unlinkat(dir, SIDE, 0);
	assert_int_equal(repair(), 0);
	unlinkat(dir, "file", 0);
	assert_int_equal(repair(), 0); /* that it is not there is for the opener to say */
	free(before.p);
	free(after.p);
	free(other.p);
	free(now.p);
}

/* Where the side file cannot be made the file stays as it is. */
static void no_room_for_the_side_file(void **state)
{
	struct rewrap_opts o = {.keys = {.raw_key = the_key}, .add = {.raw_key = the_key}};
	struct bytes before = make(), now;
	struct err e = {0};

	(void)state;
	assert_int_equal(mkdirat(dir, SIDE, 0700), 0); /* its name is taken by a directory */
	o.dirfd = dir;
	o.path = "file";
	assert_true(rewrap_file(&o, NULL, &e) < 0);
	assert_int_equal(unlinkat(dir, SIDE, AT_REMOVEDIR), 0);
	now = slurp("file");
	assert_memory_equal(now.p, before.p, before.n);
	assert_int_equal(try_open((struct open_keys){.raw_key = the_key}), 0);
	free(before.p);
	free(now.p);
}

static void paths(void **state)
{
	struct rewrap_opts o = {.keys = {.raw_key = the_key}, .add = {.raw_key = the_key}};
	struct bytes b = make();
	char path[128], long_name[300];
	struct err e = {0};

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir_name);
	o.dirfd = AT_FDCWD;
	o.path = path;
	assert_int_equal(rewrap_file(&o, NULL, &e), 0);
	assert_int_equal(rewrap_repair(AT_FDCWD, path, &e), 0);
	memset(long_name, 'x', sizeof(long_name));
	long_name[250] = '\0';
	o.path = long_name;
	assert_true(rewrap_file(&o, NULL, &e) < 0);
	o.path = dir_name;
	assert_true(rewrap_file(&o, NULL, &e) < 0);
	free(b.p);
}

#define test(f) cmocka_unit_test_setup_teardown(f, NULL, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(add_and_remove),
		test(to_a_passphrase_and_back),
		test(refusals),
		test(torn_writes),
		test(every_call),
		test(rewrap_repairs),
		test(strange_side_files),
		test(no_room_for_the_side_file),
		test(paths),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
