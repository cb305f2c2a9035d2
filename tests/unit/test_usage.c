/* The ledger of bytes: what it says of whom, quotas, streams, and what the sweep puts right. */
#include "sysfault.h"

#include "store_child.h"

static char *dir;
static struct store *s;
static struct thing a, b;
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	s = store_at(dir);
	thing_new(&a, SUITE_KYBER768, "dir/a", alice, 1);
	thing_new(&b, SUITE_KYBER768, "dir/b", bob, 2);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(s);
	scratch_free(dir);
	return 0;
}

static uint64_t body_len(void)
{
	return pqx_body_len(PART, thing_size());
}

static void usage_is(const uint8_t *owner, uint64_t bytes, uint64_t objects)
{
	uint64_t got_bytes, got_objects;

	if (store_usage(s, owner, &got_bytes, &got_objects, &e) != 0)
		fail_msg("%s", e.msg);
	assert_int_equal(got_objects, objects);
	assert_int_equal(got_bytes, bytes);
}

static const char *entry_of(const struct thing *t)
{
	char owner[65], id[65], path[256];

	hex_encode(t->owner, ID_LEN, owner);
	hex_encode(t->h.file_id, 32, id);
	snprintf(path, sizeof(path), "usage/%s/%s", owner, id);
	return in(dir, path);
}

static const char *object_of(const struct thing *t, const char *name)
{
	char hex[65], path[256];

	hex_encode(t->h.file_id, 32, hex);
	snprintf(path, sizeof(path), "objects/%.2s/%s/%s", hex, hex, name);
	return in(dir, path);
}

static int begin_with(struct store *own, const struct thing *t, uint64_t quota, struct upload **u)
{
	const struct upload_new o = {.name = t->name,
				     .owner = t->owner,
				     .header = &t->h,
				     .keyblock = "a key block",
				     .keyblock_len = 11,
				     .now = 1000,
				     .quota = quota};

	memset(&e, 0, sizeof(e));
	return upload_begin(own, &o, u, &e);
}

static int begin_within(const struct thing *t, uint64_t quota, struct upload **u)
{
	return begin_with(s, t, quota, u);
}

/* ---- entries ---- */

static void test_entries(void **state)
{
	struct upload *u;
	struct stat st;
	struct thing next;

	(void)state;
	usage_is(NULL, 0, 0);
	usage_is(alice, 0, 0);
	assert_int_equal(thing_begin(s, &a, false, &u, &e), 0);
	usage_is(alice, body_len(), 1); /* reserved */
	usage_is(bob, 0, 0);
	assert_int_equal(stat(entry_of(&a), &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(upload_abandon(u, &e), 0);
	upload_free(u);
	usage_is(NULL, 0, 0);
	thing_put(s, &a);
	thing_put(s, &b);
	usage_is(alice, body_len(), 1);
	usage_is(bob, body_len(), 1);
	usage_is(NULL, 2 * body_len(), 2);
	/* what is replaced is not counted any more */
	thing_new(&next, SUITE_KYBER768, a.name, alice, 3);
	assert_int_equal(thing_begin(s, &next, false, &u, &e), 0);
	usage_is(alice, 2 * body_len(), 2);
	upload_free(u);
	usage_is(alice, 2 * body_len(), 2);
	assert_int_equal(thing_resume(s, &next, &u, &e), 0);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &next, i, &e), 0);
	assert_int_equal(thing_commit(u, &next, &e), 0);
	upload_free(u);
	usage_is(alice, body_len(), 1);
	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	assert_int_equal(store_delete(s, b.name, bob, &e), 0);
	usage_is(NULL, 0, 0);
}

/* A begin that fails leaves nothing to be counted. */
static void test_failed_begin(void **state)
{
	struct pqx_keys k;
	struct thing big = a, other;
	struct upload *u;

	(void)state;
	big.h.part_size = PQX_PART_MAX;
	big.h.plain_size = UINT64_C(1) << 56;
	assert_int_equal(pqx_header_new(&big.h, &k), 0);
	assert_int_equal(thing_begin(s, &big, false, &u, &e), PQC_EQUOTA);
	usage_is(NULL, 0, 0);
	assert_int_equal(count_files(in(dir, "trash"), NULL), 0);
	thing_put(s, &a);
	thing_new(&other, SUITE_KYBER768, a.name, bob, 3);
	assert_int_equal(thing_begin(s, &other, false, &u, &e), PQC_EREFUSED);
	assert_int_equal(thing_begin(s, &a, false, &u, &e), PQC_EEXIST);
	usage_is(alice, body_len(), 1);
	usage_is(bob, 0, 0);
}

/* ---- quotas ---- */

static void test_quota(void **state)
{
	const uint64_t quota = 2 * body_len();
	struct upload *u, *again;
	struct thing more, second;

	(void)state;
	thing_new(&second, SUITE_KYBER768, "dir/second", alice, 3);
	thing_new(&more, SUITE_KYBER768, "dir/more", alice, 4);
	thing_put(s, &b); /* another's does not count */
	assert_int_equal(begin_within(&a, body_len() - 1, &u), PQC_EQUOTA);
	usage_is(alice, 0, 0);
	assert_int_equal(begin_within(&a, 0, &u), PQC_EQUOTA);
	assert_int_equal(begin_within(&a, quota, &u), 0);
	upload_free(u);
	assert_int_equal(begin_within(&second, quota - 1, &u), PQC_EQUOTA);
	assert_int_equal(begin_within(&second, quota, &u), 0); /* to the byte */
	upload_free(u);
	assert_int_equal(begin_within(&more, quota, &u), PQC_EQUOTA);
	assert_non_null(strstr(e.msg, "used"));
	assert_non_null(strstr(e.msg, "needed"));
	assert_non_null(strstr(e.msg, "allowed"));
	usage_is(alice, quota, 2);
	assert_int_equal(access(object_of(&more, "."), F_OK), -1);
	/* Asked once more for what is there: taken, not too much. */
	assert_int_equal(begin_within(&second, quota, &again), PQC_EEXIST);
	assert_int_equal(begin_within(&second, 1, &again), PQC_EEXIST);
	/* room again */
	assert_int_equal(thing_resume(s, &second, &u, &e), 0);
	assert_int_equal(upload_abandon(u, &e), 0);
	upload_free(u);
	assert_int_equal(begin_within(&more, quota, &u), 0);
	upload_free(u);
}

/* An entry of nothing, from a crash, does not count against the same file. */
static void test_quota_left_over(void **state)
{
	struct upload *u;

	(void)state;
	thing_put(s, &a); /* so that there is a directory of alice's */
	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	write_file(entry_of(&a), "x", 1);
	assert_int_equal(truncate(entry_of(&a), (off_t)body_len()), 0);
	usage_is(alice, body_len(), 1);
	assert_int_equal(begin_within(&a, body_len(), &u), 0);
	usage_is(alice, body_len(), 1);
	upload_free(u);
}

#define RACERS	 4
#define EACH	 6
#define ROOM_FOR 7
#define EMPTY	 500 /* entries of no bytes, so that adding up takes a while */

/* Each takes what it can get, and writes a byte for each. */
static int won_fd;

static int race(unsigned number)
{
	struct store *own = store_at(dir);
	struct upload *u;
	struct thing t;
	int rc;

	for (unsigned i = 0; i < EACH; i++) {
		thing_new(&t, SUITE_KYBER768, "dir/raced", alice, (uint8_t)number);
		if ((rc = begin_with(own, &t, ROOM_FOR * body_len(), &u)) == 0) {
			upload_free(u);
			if (write(won_fd, "x", 1) != 1)
				return 1;
		} else if (rc != PQC_EQUOTA) {
			return 1;
		}
	}
	return 0;
}

static void many_entries(void)
{
	struct thing t;

	thing_put(s, &a); /* so that there is a directory of alice's */
	assert_int_equal(store_delete(s, a.name, alice, &e), 0);
	thing_new(&t, SUITE_KYBER768, "dir/raced", alice, 1);
	for (unsigned i = 0; i < EMPTY; i++) {
		memcpy(t.h.file_id, &i, sizeof(i));
		write_file(entry_of(&t), "", 0);
	}
}

static void test_race(void **state)
{
	char won[RACERS * EACH + 1];
	int fds[2];

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		scratch_empty(in(dir, "objects"));
		scratch_empty(in(dir, "usage"));
		store_close(s);
		s = store_at(dir);
		many_entries();
		assert_int_equal(pipe(fds), 0);
		won_fd = fds[1];
		all_at_once(RACERS, race);
		assert_int_equal(read(fds[0], won, sizeof(won)), ROOM_FOR);
		usage_is(alice, ROOM_FOR * body_len(), ROOM_FOR + EMPTY);
		close(fds[0]);
		close(fds[1]);
	}
}

/* ---- streams ---- */

static void stream_new(struct thing *t)
{
	struct pqx_keys k;

	t->h.plain_size = PQX_SIZE_UNKNOWN;
	assert_int_equal(pqx_header_new(&t->h, &k), 0);
}

static uint64_t alice_uses(void)
{
	uint64_t bytes, objects;

	assert_int_equal(store_usage(s, alice, &bytes, &objects, &e), 0);
	return bytes;
}

static void test_stream(void **state)
{
	const uint64_t quota = UINT64_C(1) << 30;
	struct upload *u;
	uint64_t got, upto = 0;
	unsigned steps = 0;

	(void)state;
	thing_put(s, &b);
	stream_new(&a);
	assert_int_equal(begin_within(&a, quota, &u), 0);
	usage_is(alice, 0, 1);
	/* In steps, never less than asked for and never past the quota, to its last byte. */
	while (upto < quota) {
		upto = upto + 3000001 < quota ? upto + 3000001 : quota;
		uint64_t before = alice_uses();

		assert_int_equal(upload_grow(u, upto, quota, &e), 0);
		got = alice_uses();
		assert_true(got >= upto && got <= quota);
		steps += got != before;
	}
	assert_in_range(steps, 5, 30);
	assert_int_equal(upload_grow(u, quota, quota, &e), 0);
	memset(&e, 0, sizeof(e));
	assert_int_equal(upload_grow(u, quota + 1, quota, &e), PQC_EQUOTA);
	assert_non_null(strstr(e.msg, "allowed"));
	assert_int_equal(upload_grow(u, UINT64_MAX, UINT64_MAX, &e), PQC_EQUOTA);
	assert_int_equal(alice_uses(), quota);
	upload_free(u);
	/* taken up again it still has that */
	assert_int_equal(thing_resume(s, &a, &u, &e), 0);
	assert_int_equal(upload_grow(u, 1000, 0, &e), 0);
	assert_int_equal(upload_grow(u, quota + 1, quota, &e), PQC_EQUOTA);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, &a, i, &e), 0);
	assert_int_equal(thing_commit(u, &a, &e), 0);
	usage_is(alice, body_len(), 1); /* the truth */
	assert_int_equal(upload_grow(u, quota, quota, &e), PQC_EUSAGE);
	upload_free(u);
	name_is(s, &a);
}

/* Two streams of one owner share the quota; who does not hold the upload reserves nothing. */
static void test_two_streams(void **state)
{
	struct upload *u, *other, *waiting;
	struct thing c;

	(void)state;
	thing_new(&c, SUITE_KYBER768, "dir/c", alice, 3);
	stream_new(&a);
	stream_new(&c);
	assert_int_equal(begin_within(&a, 1000, &u), 0);
	assert_int_equal(begin_within(&c, 1000, &other), 0);
	assert_int_equal(upload_grow(u, 600, 1000, &e), 0);
	assert_int_equal(upload_grow(other, 401, 1000, &e), PQC_EQUOTA);
	assert_int_equal(upload_grow(other, 400, 1000, &e), 0);
	assert_int_equal(thing_resume(s, &a, &waiting, &e), PQC_EAGAIN);
	assert_int_equal(upload_grow(waiting, 700, 2000, &e), PQC_ETEMP);
	assert_int_equal(alice_uses(), 1000);
	upload_free(u);
	upload_free(other);
	upload_free(waiting);
}

/* ---- crashes ---- */

/* A stream under a quota. What is recorded was reserved: acked bytes to told, if that is a descriptor. */
static int put_stream(struct store *own, int told)
{
	const uint64_t quota = 3 * PART;
	struct upload *u;
	int rc = begin_with(own, &a, quota, &u);

	if (rc != 0)
		return rc;
	for (uint64_t i = 0; i < PARTS && rc == 0; i++) {
		if ((rc = upload_grow(u, (i + 1) * PART, quota, &e)) != 0 ||
		    (rc = thing_part(u, &a, i, &e)) != 0)
			break;
		if (told >= 0 && syscall(SYS_write, told, "x", 1) != 1)
			_exit(1);
	}
	if (rc == 0)
		rc = thing_commit(u, &a, &e);
	upload_free(u);
	return rc;
}

/* Nothing recorded is missing in the ledger, and nobody is kept from the quota. */
static void check_stream(unsigned acked)
{
	unsigned removed, held;
	struct upload *u;
	struct stat st;

	assert_true(alice_uses() <= 3 * PART);
	if (thing_resume(s, &a, &u, &e) == 0) {
		assert_int_equal(stat(object_of(&a, "body"), &st), 0);
		held = held_bits(u);
		assert_true(upload_committed(u) || held + 1 >= 1u << acked);
		if (held != 0)
			assert_true(alice_uses() >= (uint64_t)st.st_size);
		upload_free(u);
	} else {
		assert_int_equal(acked, 0);
	}
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	if (store_delete(s, a.name, alice, &e) != 0)
		assert_int_equal(e.code, PQC_ENOTFOUND);
	usage_is(alice, 0, 0);
	thing_new(&a, SUITE_KYBER768, "dir/a", alice, 1);
	stream_new(&a);
	assert_int_equal(put_stream(s, -1), 0);
	usage_is(alice, body_len(), 1);
}

static void fresh(void)
{
	store_close(s);
	scratch_empty(dir);
	s = store_at(dir);
	thing_new(&a, SUITE_KYBER768, "dir/a", alice, 1);
	stream_new(&a);
}

static void test_deaths(void **state)
{
	int fds[2], status;
	char acks[PARTS];
	bool done = false;
	unsigned n;
	pid_t pid;

	(void)state;
	for (n = 1; !done; n++) {
		fresh();
		assert_int_equal(pipe(fds), 0);
		assert_true((pid = fork()) >= 0);
		if (pid == 0) {
			struct store *own = store_at(dir);

			sysfault_set(n % 2 ? SYSFAULT_DIE : SYSFAULT_CUT, (n + 1) / 2, 0);
			_exit(put_stream(own, fds[1]) == 0 ? 0 : 1);
		}
		close(fds[1]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SYSFAULT_EXIT);
		done = WEXITSTATUS(status) == 0;
		check_stream((unsigned)read(fds[0], acks, sizeof(acks)));
		close(fds[0]);
	}
	assert_in_range(n, 40, 1000);
}

static void test_failures(void **state)
{
	bool reached = true;
	unsigned n, fds;

	(void)state;
	for (n = 1; reached; n++) {
		fresh();
		fds = count_fds();
		memset(&e, 0, sizeof(e));
		sysfault_set(SYSFAULT_FAIL, n, 0);
		int rc = put_stream(s, -1);

		reached = sysfault.count >= n;
		sysfault_set(SYSFAULT_OFF, 0, 0);
		assert_int_equal(count_fds(), fds);
		if (rc != 0) {
			assert_true(reached);
			assert_int_equal(e.code, rc);
			assert_true(strlen(e.msg) > 5);
		}
		check_stream(0);
	}
	assert_in_range(n, 20, 1000);
}

/* ---- what the sweep puts right ---- */

static void test_sweep(void **state)
{
	struct thing unfinished, stream;
	struct upload *u;
	unsigned removed;

	(void)state;
	thing_new(&unfinished, SUITE_KYBER768, "dir/c", alice, 3);
	thing_new(&stream, SUITE_KYBER768, "dir/d", alice, 4);
	stream_new(&stream);
	thing_put(s, &a);
	thing_put(s, &b);
	assert_int_equal(thing_begin(s, &unfinished, false, &u, &e), 0);
	upload_free(u);
	assert_int_equal(thing_begin(s, &stream, false, &u, &e), 0);
	assert_int_equal(thing_part(u, &stream, 0, &e), 0);
	upload_free(u);
	/* as from before there was a ledger */
	scratch_empty(in(dir, "usage"));
	store_close(s);
	s = store_at(dir);
	usage_is(NULL, 0, 0);
	assert_int_equal(store_sweep(s, 0, &removed, &e), 0);
	assert_int_equal(removed, 0);
	usage_is(alice, 2 * body_len() + PART, 3);
	usage_is(bob, body_len(), 1);
	/* a complete one has its true length, an upload what was reserved for it */
	assert_int_equal(truncate(entry_of(&a), 1), 0);
	assert_int_equal(truncate(entry_of(&stream), 5 * PART), 0);
	assert_int_equal(store_sweep(s, 0, &removed, &e), 0);
	usage_is(alice, 2 * body_len() + 5 * PART, 3);
	/* entries of nothing go */
	write_file(entry_of(&b), "", 0);
	scratch_empty(object_of(&b, ""));
	scratch_empty(object_of(&unfinished, ""));
	assert_int_equal(store_sweep(s, 0, &removed, &e), 0);
	usage_is(alice, body_len() + 5 * PART, 2);
	usage_is(bob, 0, 0);
	/* and with the uploads, theirs */
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	usage_is(alice, body_len(), 1);
	name_is(s, &a);
}

/* What does not belong there neither counts nor is touched. */
static void test_litter(void **state)
{
	char *outside = scratch_new(), path[4096];
	unsigned removed;
	struct stat st;

	(void)state;
	thing_put(s, &a);
	write_file(in(outside, "precious"), "precious", 8);
	strcpy(path, entry_of(&a));
	memset(strrchr(path, '/') + 1, '0', 64); /* an entry that is a link */
	assert_int_equal(symlink(in(outside, "precious"), path), 0);
	strcpy(path, entry_of(&b));
	*strrchr(path, '/') = '\0'; /* an owner that is a link */
	assert_int_equal(symlink(outside, path), 0);
	write_file(in(dir, "usage/note"), "x", 1);
	usage_is(alice, body_len(), 1);
	struct upload *u;

	assert_int_not_equal(thing_begin(s, &b, false, &u, &e), 0);
	assert_int_not_equal(store_sweep(s, 0, &removed, &e), 0); /* the link is told of */
	assert_int_equal(stat(in(outside, "precious"), &st), 0);
	assert_int_equal(st.st_size, 8);
	assert_int_equal(count_files(outside, NULL), 1);
	assert_int_equal(access(in(dir, "usage/note"), F_OK), 0);
	scratch_free(outside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_entries),	 T(test_failed_begin), T(test_quota),
		T(test_quota_left_over), T(test_race),	       T(test_stream),
		T(test_two_streams),	 T(test_deaths),       T(test_failures),
		T(test_sweep),		 T(test_litter),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
