/* Who may write an upload: holders that live, stand still and die, and those that claim it. */
#include "store_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

#include "store/upload_impl.h"

/* flock(2) as the kernel does it, but for these. */
static unsigned flock_interrupts;
static int flock_error;

int flock(int fd, int how)
{
	if (how != LOCK_UN && flock_error != 0) {
		errno = flock_error;
		return -1;
	}
	if (how != LOCK_UN && flock_interrupts > 0) {
		flock_interrupts--;
		errno = EINTR;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, how);
}

static char *dir;
static struct store *s;
static struct thing *const a = &child_things[0];
static struct child p, q, r;
static struct err e;

static int setup(void **state)
{
	(void)state;
	dir = scratch_new();
	child_dir = dir;
	s = store_at(dir);
	thing_new(a, SUITE_KYBER768, "some/name", alice, 7);
	memset(&e, 0, sizeof(e));
	p = child_new();
	q = child_new();
	r = child_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flock_error = 0;
	child_end(&p, SIGKILL);
	child_end(&q, SIGKILL);
	child_end(&r, SIGKILL);
	store_close(s);
	scratch_free(dir);
	return 0;
}

/* As the C library has them, but for what happens just before and just after. */
static struct upload *committed_at_look, *watched_at_removal;

int openat64(int at, const char *name, int flags, ...)
{
	struct upload *u = committed_at_look;
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if (u != NULL && strcmp(name, "holder") == 0) {
		committed_at_look = NULL;
		assert_int_equal(thing_commit(u, a, &e), 0);
	}
	return (int)syscall(SYS_openat, at, name, flags, mode);
}

int unlinkat(int at, const char *name, int flags)
{
	struct upload *u = watched_at_removal;
	int rc = (int)syscall(SYS_unlinkat, at, name, flags);

	if (u != NULL && strcmp(name, "holder") == 0) {
		watched_at_removal = NULL;
		assert_int_equal(upload_lease_wanted(u), 0);
	}
	return rc;
}

static const char *file_of(const struct thing *t, const char *name)
{
	char hex[65], path[256];

	hex_encode(t->h.file_id, 32, hex);
	snprintf(path, sizeof(path), "objects/%.2s/%s%s%s", hex, hex, *name ? "/" : "", name);
	return in(dir, path);
}

static void finish_by(const struct child *c)
{
	for (uint8_t i = 0; i < PARTS; i++)
		assert_int_equal(ask(c, CMD_PART, i), 0);
	assert_int_equal(ask(c, CMD_COMMIT, 0), 0);
	name_is(s, a);
}

/* ---- claims ---- */

static void test_live_holder(void **state)
{
	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(ask(&p, CMD_PART, 0), 0);
	assert_int_equal(ask(&p, CMD_WANTED, 0), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	/* It has what it has until it lets go, but nothing more counts. */
	assert_int_equal(ask(&p, CMD_WANTED, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_PART, 1), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_COMMIT, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_ABANDON, 0), PQC_ETEMP);
	/* Who waits may do nothing. */
	assert_int_equal(ask(&q, CMD_TAKE, 0), PQC_EAGAIN);
	assert_int_equal(ask(&q, CMD_PART, 1), PQC_ETEMP);
	assert_int_equal(ask(&q, CMD_COMMIT, 0), PQC_ETEMP);
	assert_int_equal(ask(&q, CMD_ABANDON, 0), PQC_ETEMP);
	assert_int_equal(ask(&q, CMD_WANTED, 0), 0);
	assert_int_equal(ask(&p, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_TAKE, 0), 0);
	assert_int_equal(ask(&q, CMD_TAKE, 0), 0);
	assert_int_equal(ask(&q, CMD_HELD, 0), 1);
	finish_by(&q);
}

/* A process that stands still cannot be made to let go; when it goes on, it learns of it. */
static void test_stopped_holder(void **state)
{
	int status;

	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(ask(&p, CMD_PART, 2), 0);
	assert_int_equal(kill(p.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(p.pid, &status, WUNTRACED), p.pid);
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ask(&q, CMD_TAKE, 0), PQC_EAGAIN);
	assert_int_equal(kill(p.pid, SIGCONT), 0);
	assert_int_equal(ask(&p, CMD_PART, 1), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_WANTED, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_TAKE, 0), 0);
	assert_int_equal(ask(&q, CMD_HELD, 0) & 4, 4);
	finish_by(&q);
	/* and a stopped one that is killed, with a claim waiting */
	thing_new(a, SUITE_KYBER768, "some/name", alice, 8);
	child_end(&p, SIGKILL);
	child_end(&q, SIGKILL);
	p = child_new();
	q = child_new();
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(kill(p.pid, SIGSTOP), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	child_end(&p, SIGKILL);
	assert_int_equal(ask(&q, CMD_TAKE, 0), 0);
	finish_by(&q);
}

static void test_killed_holder(void **state)
{
	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(ask(&p, CMD_PART, 1), 0);
	child_end(&p, SIGKILL);
	assert_int_equal(ask(&q, CMD_RESUME, 0), 0); /* nothing to wait for */
	assert_int_equal(ask(&q, CMD_HELD, 0), 2);
	finish_by(&q);
}

/* The last to ask gets it. */
static void test_two_claimers(void **state)
{
	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	assert_int_equal(ask(&r, CMD_RESUME, 0), PQC_EAGAIN);
	assert_int_equal(ask(&q, CMD_TAKE, 0), PQC_ETEMP);
	assert_int_equal(ask(&r, CMD_TAKE, 0), PQC_EAGAIN);
	assert_int_equal(ask(&p, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_TAKE, 0), PQC_ETEMP); /* nor when it is free */
	assert_int_equal(ask(&r, CMD_TAKE, 0), 0);
	/* and so on: it is asked for again */
	assert_int_equal(ask(&q, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	assert_int_equal(ask(&r, CMD_WANTED, 0), PQC_ETEMP);
	assert_int_equal(ask(&r, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_TAKE, 0), 0);
	finish_by(&q);
	/* what is complete is held by nobody */
	assert_int_equal(ask(&p, CMD_RESUME, 0), 0);
	assert_int_equal(ask(&q, CMD_WANTED, 0), 0);
	assert_int_equal(access(file_of(a, "holder"), F_OK), -1);
}

/* Who cannot take an upload up cannot take it away either. */
static void test_stranger(void **state)
{
	static uint8_t before[TOKEN_LEN], after[TOKEN_LEN];
	struct thing *const strange = child_things + 1;
	int fd;

	(void)state;
	child_end(&q, SIGKILL);
	for (int i = 0; i < 3; i++)
		strange[i] = *a;
	strange[0].owner = bob;
	strange[1].name = "some/other";
	strange[2].h.raw[PQX_HEADER_LEN - 1] ^= 1;
	q = child_new();
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_true((fd = open(file_of(a, "holder"), O_RDONLY)) >= 0);
	assert_int_equal(pread(fd, before, TOKEN_LEN, 0), TOKEN_LEN);
	for (uint8_t i = 1; i <= 3; i++) {
		assert_int_equal(ask(&q, CMD_RESUME, i), PQC_ENOTFOUND);
		assert_int_equal(ask(&p, CMD_WANTED, 0), 0);
		assert_int_equal(pread(fd, after, TOKEN_LEN, 0), TOKEN_LEN);
		assert_memory_equal(before, after, TOKEN_LEN);
	}
	close(fd);
	finish_by(&p);
}

/* A claim that nobody follows up costs the holder its lease; whoever comes next has it. */
static void test_claimer_dies(void **state)
{
	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	child_end(&q, SIGKILL);
	assert_int_equal(ask(&p, CMD_PART, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_FREE, 0), 0);
	assert_int_equal(ask(&p, CMD_RESUME, 0), 0);
	finish_by(&p);
}

/* A token that was not written whole, and an upload from before there were any. */
static void test_odd_holder(void **state)
{
	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	write_file(file_of(a, "holder"), "half", 4);
	assert_int_equal(ask(&p, CMD_WANTED, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_PART, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_FREE, 0), 0);
	assert_int_equal(ask(&p, CMD_RESUME, 0), 0);
	assert_int_equal(unlink(file_of(a, "holder")), 0);
	assert_int_equal(ask(&p, CMD_WANTED, 0), PQC_ETEMP);
	assert_int_equal(ask(&p, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), 0);
	assert_int_equal(unlink(file_of(a, "holder")), 0);
	assert_int_equal(symlink("/dev/null", file_of(a, "holder")), 0);
	assert_int_equal(ask(&p, CMD_RESUME, 0), PQC_EREFUSED);
	assert_int_equal(unlink(file_of(a, "holder")), 0);
	assert_int_equal(ask(&q, CMD_FREE, 0), 0);
	assert_int_equal(ask(&q, CMD_RESUME, 0), 0);
	finish_by(&q);
}

/* ---- what the lease is for ---- */

/* Rewrites a part until it hears that the lease is wanted. */
static pid_t busy_writer(int ready)
{
	pid_t pid = fork();
	struct upload *u;
	struct store *own;
	uint8_t *part;

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	own = store_at(dir);
	part = malloc(PART);
	if (part == NULL || thing_resume(own, a, &u, &e) != 0)
		_exit(1);
	for (unsigned n = 0; upload_lease_wanted(u) == 0; n++) {
		memset(part, (int)n, PART);
		for (uint64_t i = 0; i < PARTS - 1; i++)
			if (upload_write(u, i, part, PART, &e) != 0)
				_exit(2);
		if (n == 0 && write(ready, "x", 1) != 1)
			_exit(3);
	}
	upload_free(u);
	pause(); /* it lives on */
	_exit(0);
}

static void read_body(uint8_t *body)
{
	int fd = open(file_of(a, "body"), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, body, 2 * PART, 0), 2 * PART);
	close(fd);
}

static void test_nothing_after_take(void **state)
{
	static uint8_t at_once[2 * PART], later[2 * PART];
	struct upload *u;
	int ready[2], rc;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(thing_begin(s, a, false, &u, &e), 0);
	upload_free(u);
	assert_int_equal(pipe(ready), 0);
	for (unsigned round = 0; round < 20; round++) {
		pid = busy_writer(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		rc = thing_resume(s, a, &u, &e);
		assert_int_equal(rc, PQC_EAGAIN);
		while ((rc = upload_take(u, &e)) == PQC_EAGAIN)
			sched_yield();
		assert_int_equal(rc, 0);
		read_body(at_once);
		/* as much as one more round of it would take, and then some */
		assert_int_equal(upload_lease_wanted(u), 0);
		for (unsigned i = 0; i < 20; i++)
			read_body(later);
		assert_memory_equal(at_once, later, sizeof(later));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		read_body(later);
		assert_memory_equal(at_once, later, sizeof(later));
		upload_free(u);
	}
	close(ready[0]);
	close(ready[1]);
}

/* The lock is lost while the holder believes to have it, as a host that was cut off over NFS may. */
/* The commit takes the token away, which is nobody's claim, at whatever moment one looks. */
static void test_watched_commit(void **state)
{
	struct upload *u;

	(void)state;
	for (unsigned when = 0; when < 2; when++) {
		thing_new(a, SUITE_KYBER768, "watched", alice, (uint8_t)(when + 1));
		assert_int_equal(thing_begin(s, a, false, &u, &e), 0);
		for (uint64_t i = 0; i < PARTS; i++)
			assert_int_equal(thing_part(u, a, i, &e), 0);
		if (when == 0) {
			committed_at_look = u;
			assert_int_equal(upload_lease_wanted(u), 0);
			assert_null(committed_at_look);
		} else {
			watched_at_removal = u;
			assert_int_equal(thing_commit(u, a, &e), 0);
			assert_null(watched_at_removal);
		}
		assert_true(upload_committed(u));
		assert_int_equal(access(file_of(a, "holder"), F_OK), -1);
		upload_free(u);
	}
}

static void test_lost_lock(void **state)
{
	struct upload *stale;

	(void)state;
	assert_int_equal(thing_begin(s, a, false, &stale, &e), 0);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(stale, a, i, &e), 0);
	assert_int_equal(flock(stale->body, LOCK_UN), 0);
	assert_int_equal(ask(&p, CMD_RESUME, 0), PQC_EAGAIN); /* the leaves are locked too */
	assert_int_equal(flock(stale->leaves, LOCK_UN), 0);
	assert_int_equal(ask(&p, CMD_TAKE, 0), 0);
	assert_int_equal(upload_lease_wanted(stale), PQC_ETEMP);
	assert_int_equal(thing_part(stale, a, 0, &e), PQC_ETEMP);
	assert_non_null(strstr(e.msg, "superseded"));
	assert_int_equal(thing_commit(stale, a, &e), PQC_ETEMP);
	assert_int_equal(upload_abandon(stale, &e), PQC_ETEMP);
	name_is_free(s, a->name);
	finish_by(&p);
	/* What the other committed stays as it is. */
	struct thing other = *a;

	strcpy(other.manifest, "another manifest");
	assert_int_equal(thing_part(stale, a, 0, &e), PQC_ETEMP);
	assert_int_equal(upload_lease_wanted(stale), PQC_ETEMP);
	assert_int_equal(upload_abandon(stale, &e), PQC_EUSAGE);
	assert_int_equal(thing_commit(stale, &other, &e), 0);
	assert_true(span_is(upload_manifest(stale), a->manifest));
	name_is(s, a);
	upload_free(stale);
}

/* A process that was forked off meanwhile has the descriptors: that keeps nobody waiting. */
static void test_forked_off(void **state)
{
	struct upload *u;
	struct child heir;

	(void)state;
	assert_int_equal(thing_begin(s, a, false, &u, &e), 0);
	heir = child_new();
	upload_free(u);
	assert_int_equal(ask(&p, CMD_RESUME, 0), 0);
	child_end(&heir, SIGKILL);
	assert_int_equal(ask(&p, CMD_WANTED, 0), 0);
	finish_by(&p);
}

/* ---- the sweep ---- */

static void test_sweep(void **state)
{
	unsigned removed;

	(void)state;
	assert_int_equal(ask(&p, CMD_BEGIN, 0), 0);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(ask(&p, CMD_PART, 0), 0); /* the look did not take it away */
	/* Of one that waits for it nothing is known: the holder dies, and it is old. */
	assert_int_equal(ask(&q, CMD_RESUME, 0), PQC_EAGAIN);
	child_end(&p, SIGKILL);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(ask(&q, CMD_TAKE, 0), PQC_ENOTFOUND);
	assert_int_equal(ask(&q, CMD_FREE, 0), 0);
	assert_int_equal(ask(&r, CMD_RESUME, 0), PQC_ENOTFOUND);
	/* the same file again: that is another upload */
	assert_int_equal(ask(&r, CMD_BEGIN, 0), 0);
	finish_by(&r);
}

/* A holder that a crash left in a complete object goes. */
static void test_sweep_holder(void **state)
{
	unsigned removed;

	(void)state;
	thing_put(s, a);
	write_file(file_of(a, "holder"), "left", 4);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(access(file_of(a, "holder"), F_OK), -1);
	name_is(s, a);
}

/* ---- the lock itself ---- */

static void test_interrupted(void **state)
{
	unsigned removed;

	(void)state;
	flock_interrupts = 50;
	thing_put(s, a);
	name_is(s, a);
	assert_int_equal(store_sweep(s, LATER, &removed, &e), 0);
	assert_int_equal(flock_interrupts, 0);
	name_is(s, a);
}

static int none(void *arg, const struct object_info *info)
{
	(void)arg;
	(void)info;
	return 0;
}

#define REFUSED(call)                                   \
	do {                                            \
		memset(&e, 0, sizeof(e));               \
		assert_int_equal(call, PQC_EIO);        \
		assert_non_null(strstr(e.msg, "lock")); \
		assert_int_equal(count_fds(), fds);     \
	} while (0)

/* Without the lock nothing is done, and all say so. */
static void test_no_locks(void **state)
{
	struct thing b, none_such;
	struct upload *u, *u2 = NULL;
	struct object *o;
	char cursor[65] = "";
	unsigned removed, fds;
	bool more;

	(void)state;
	thing_new(&b, SUITE_KYBER768, "b", alice, 1);
	thing_new(&none_such, SUITE_KYBER768, "c", alice, 1);
	thing_put(s, &b);
	assert_int_equal(thing_begin(s, a, false, &u, &e), 0);
	for (uint64_t i = 0; i < PARTS; i++)
		assert_int_equal(thing_part(u, a, i, &e), 0);
	unsigned files = count_files(dir, NULL);

	fds = count_fds();
	flock_error = ENOLCK;
	REFUSED(thing_begin(s, &none_such, false, &u2, &e));
	REFUSED(thing_resume(s, a, &u2, &e));
	REFUSED(thing_commit(u, a, &e));
	REFUSED(upload_abandon(u, &e));
	REFUSED(store_delete(s, b.name, alice, &e));
	REFUSED(object_open(s, "nothing", &o, &e));
	REFUSED(store_sweep(s, LATER, &removed, &e));
	assert_int_equal(store_list(s, cursor, none, NULL, &more, &e), 0); /* all there: no need */
	name_is(s, &b);
	flock_error = 0;
	assert_null(u2);
	assert_int_equal(count_files(dir, NULL), files + 2); /* the manifest; the sweep's lock */
	assert_int_equal(thing_commit(u, a, &e), 0);
	upload_free(u);
	name_is(s, a);
	name_is(s, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_live_holder),  T(test_stopped_holder),	  T(test_killed_holder),
		T(test_two_claimers), T(test_stranger),		  T(test_claimer_dies),
		T(test_odd_holder),   T(test_nothing_after_take), T(test_watched_commit),
		T(test_lost_lock),    T(test_forked_off),	  T(test_sweep),
		T(test_sweep_holder), T(test_interrupted),	  T(test_no_locks),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
