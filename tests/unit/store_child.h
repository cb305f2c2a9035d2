/* Other processes on the same store: each obeys commands, one byte and an argument, from its parent. */
#ifndef PQC_TESTS_STORE_CHILD_H
#define PQC_TESTS_STORE_CHILD_H

#include "store_fixture.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct child {
	pid_t pid;
	int fd;
};

enum command {
	CMD_BEGIN,
	CMD_RESUME, /* arg: which of as_whom */
	CMD_TAKE,
	CMD_WANTED,
	CMD_PART, /* arg: which */
	CMD_HELD, /* answer: bits */
	CMD_COMMIT,
	CMD_ABANDON,
	CMD_FREE,
};

/* What a child is told of, by fork. */
static struct thing child_things[4];
static const char *child_dir;

static int child_do(struct store *s, struct upload **u, enum command what, uint8_t arg)
{
	const struct thing *t = &child_things[0];
	struct err e = {0};

	switch (what) {
	case CMD_BEGIN:
		return thing_begin(s, t, false, u, &e);
	case CMD_RESUME:
		*u = NULL;
		return thing_resume(s, &child_things[arg], u, &e);
	case CMD_TAKE:
		return upload_take(*u, &e);
	case CMD_WANTED:
		return upload_lease_wanted(*u);
	case CMD_PART:
		return thing_part(*u, t, arg, &e);
	case CMD_HELD:
		return (int)held_bits(*u);
	case CMD_COMMIT:
		return thing_commit(*u, t, &e);
	case CMD_ABANDON:
		return upload_abandon(*u, &e);
	case CMD_FREE:
		upload_free(*u);
		*u = NULL;
		return 0;
	}
	return 0;
}

static void child_run(int fd)
{
	struct upload *u = NULL;
	struct store *s = NULL;
	uint8_t in[2];
	int rc;

	if (store_open(&s, child_dir, NULL) != 0)
		_exit(1);
	while (read(fd, in, sizeof(in)) == sizeof(in)) {
		rc = child_do(s, &u, in[0], in[1]);
		if (write(fd, &rc, sizeof(rc)) != sizeof(rc))
			_exit(1);
	}
	_exit(0);
}

static inline struct child child_new(void)
{
	struct child c;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_true((c.pid = fork()) >= 0);
	if (c.pid == 0) {
		close(fds[0]);
		child_run(fds[1]);
	}
	close(fds[1]);
	c.fd = fds[0];
	return c;
}

/* The child's answer. */
static inline int ask(const struct child *c, enum command what, uint8_t arg)
{
	const uint8_t out[2] = {(uint8_t)what, arg};
	int rc;

	assert_int_equal(write(c->fd, out, sizeof(out)), sizeof(out));
	assert_int_equal(read(c->fd, &rc, sizeof(rc)), sizeof(rc));
	return rc;
}

static inline void child_end(struct child *c, int sig)
{
	int status;

	if (c->pid <= 0)
		return;
	if (sig != 0)
		assert_int_equal(kill(c->pid, sig), 0);
	close(c->fd);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	if (sig == 0)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	c->pid = 0;
}

/* n processes run work(number) at once, beginning together; each must return 0. */
static inline void all_at_once(unsigned n, int (*work)(unsigned number))
{
	int gate[2], status;
	pid_t pid[16];
	char byte;

	assert_true(n <= 16);
	assert_int_equal(pipe(gate), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_true((pid[i] = fork()) >= 0);
		if (pid[i] == 0) {
			close(gate[1]);
			if (read(gate[0], &byte, 1) != 0)
				_exit(2);
			_exit(work(i));
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

#endif
