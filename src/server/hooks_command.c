/* Events as the standard input of a program. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/hooks_impl.h"

#define SLICE_MS 50

/* Does the process leave no exit status behind? What it does with its signals is not ours to change. */
static bool ignores_children(void)
{
	struct sigaction sa;

	return sigaction(SIGCHLD, NULL, &sa) == 0 &&
	       (sa.sa_handler == SIG_IGN || (sa.sa_flags & SA_NOCLDWAIT) != 0);
}

int command_init(struct command *c, const struct hooks_opts *o, const atomic_bool *cancel,
		 struct err *e)
{
	struct stat st;

	if (o->command[0] != '/')
		return err_set(e, PQC_ECONFIG, "event command '%s' is not an absolute path",
			       o->command);
	if (stat(o->command, &st) != 0 || !S_ISREG(st.st_mode) || access(o->command, X_OK) != 0)
		return err_set(e, PQC_ECONFIG, "event command '%s' is no program that can be run",
			       o->command);
	if (ignores_children())
		return err_set(e, PQC_ECONFIG,
			       "event command: this program ignores SIGCHLD, so that nobody "
			       "would learn how the command ended");
	c->path = strdup(o->command);
	if (asprintf(&c->search, "PATH=%s", o->search_path ? o->search_path : "/usr/bin:/bin") < 0)
		c->search = NULL;
	if (!c->path || !c->search)
		return err_set(e, PQC_ENOMEM, "no memory for the event command");
	c->timeout_ms = o->timeout_ms;
	c->cancel = cancel;
	return 0;
}

void command_free(struct command *c)
{
	free(c->path);
	free(c->search);
	memset(c, 0, sizeof(*c));
}

/* ---- starting it ---- */

static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	if ((r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
							POSIX_SPAWN_SETSIGDEF)) != 0 ||
	    (r = posix_spawnattr_setpgroup(attr, 0)) != 0 ||
	    (r = posix_spawnattr_setsigmask(attr, &none)) != 0)
		return r;
	return posix_spawnattr_setsigdefault(attr, &all);
}

static int set_descriptors(posix_spawn_file_actions_t *fa, int in, int err)
{
	int r;

	if ((r = posix_spawn_file_actions_adddup2(fa, in, 0)) != 0 ||
	    (r = posix_spawn_file_actions_addopen(fa, 1, "/dev/null", O_WRONLY, 0)) != 0 ||
	    (r = posix_spawn_file_actions_adddup2(fa, err, 2)) != 0)
		return r;
	return posix_spawn_file_actions_addclosefrom_np(fa, 3);
}

static int spawn(const struct command *c, char *const env[], const int io[2], pid_t *pid)
{
	char *const argv[] = {c->path, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int r;

	if ((r = posix_spawn_file_actions_init(&fa)) != 0)
		return r;
	if ((r = posix_spawnattr_init(&attr)) != 0)
		goto out;
	if ((r = set_attributes(&attr)) == 0 && (r = set_descriptors(&fa, io[0], io[1])) == 0)
		r = posix_spawn(pid, c->path, &fa, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
out:
	posix_spawn_file_actions_destroy(&fa);
	return r;
}

static int spawn_for(const struct command *c, const struct event *ev, const int io[2], pid_t *pid)
{
	char type[EVENT_TYPE_MAX + 16], id[EVENT_ID_LEN + 16];
	char *env[] = {type, id, c->search, NULL};

	snprintf(type, sizeof(type), "PQC_EVENT=%s", ev->type);
	snprintf(id, sizeof(id), "PQC_EVENT_ID=%s", ev->id);
	return spawn(c, env, io, pid);
}

/* ---- waiting for it ---- */

/* What it says on standard error: the beginning is kept, all of it is read. *fd -1: it has ended. */
struct words {
	int fd;
	char text[120];
	size_t len;
};

static void listen_to(struct words *w, int ms)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};
	char chunk[4096];
	ssize_t n;

	if (w->fd < 0) {
		poll(NULL, 0, ms / 5); /* it says nothing more: it is about to end */
		return;
	}
	if (poll(&p, 1, ms) <= 0)
		return;
	n = read(w->fd, chunk, sizeof(chunk));
	if (n > 0) {
		size_t room = sizeof(w->text) - 1 - w->len;
		size_t take = (size_t)n < room ? (size_t)n : room;

		memcpy(w->text + w->len, chunk, take);
		w->len += take;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		close(w->fd);
		w->fd = -1;
	}
}

static void judge(int status, const struct words *w, struct attempt *a)
{
	char line[sizeof(w->text)];

	memcpy(line, w->text, w->len);
	line[w->len] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	a->outcome = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? DELIVERED : FAILED;
	if (WIFSIGNALED(status))
		snprintf(a->why, sizeof(a->why), "the command was ended by signal %d",
			 WTERMSIG(status));
	else
		snprintf(a->why, sizeof(a->why), "the command ended with status %d%s%s",
			 WEXITSTATUS(status), line[0] ? ": " : "", line);
}

/* It is not reaped yet, so that its number is still its own. */
static void end_it(pid_t pid)
{
	kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void await(const struct command *c, pid_t pid, struct words *w, struct attempt *a)
{
	uint64_t deadline = clock_ms() + c->timeout_ms;
	pid_t r;
	int status;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0) {
		bool cancelled = atomic_load(c->cancel);

		if (cancelled || clock_ms() >= deadline) {
			end_it(pid);
			a->outcome = cancelled ? INTERRUPTED : FAILED;
			snprintf(a->why, sizeof(a->why), "the command took more than %u ms",
				 c->timeout_ms);
			return;
		}
		listen_to(w, SLICE_MS);
	}
	if (r == pid) {
		listen_to(w, 0);
		judge(status, w, a);
		return;
	}
	a->outcome = FAILED;
	snprintf(a->why, sizeof(a->why), "how the command ended is not known: %s", strerror(errno));
}

static void cannot_run(struct attempt *a, int errnum)
{
	a->outcome = FAILED;
	a->down = true;
	snprintf(a->why, sizeof(a->why), "the command cannot be run: %s", strerror(errnum));
}

void command_deliver(const struct command *c, const struct event *ev, int in, struct attempt *a)
{
	struct words w = {.fd = -1};
	int pipe_fd[2], r;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
		cannot_run(a, errno);
		return;
	}
	r = spawn_for(c, ev, (const int[]){in, pipe_fd[1]}, &pid);
	close(pipe_fd[1]);
	w.fd = pipe_fd[0];
	if (r != 0)
		cannot_run(a, r);
	else
		await(c, pid, &w, a);
	if (w.fd >= 0)
		close(w.fd);
}
