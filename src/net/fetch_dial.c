#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/fetch_internal.h"

#define SLICE_MS 50

int patience_check(const struct patience *p, struct err *e)
{
	if (p->cancel && atomic_load_explicit(p->cancel, memory_order_relaxed))
		return err_set(e, PQC_EINTERRUPTED, "the request was cancelled");
	if (clock_ms() >= p->deadline)
		return err_set(e, PQC_ETIMEOUT, "no answer in time");
	return 0;
}

int patience_slice(const struct patience *p)
{
	uint64_t now = clock_ms(), left = p->deadline > now ? p->deadline - now : 0;

	if (p->cancel)
		return left < SLICE_MS ? (int)left : SLICE_MS;
	return left < INT_MAX ? (int)left : INT_MAX;
}

/* ---- TCP ---- */

/*
 * The look-up of a host has no time limit and cannot be broken off. So it is made by a
 * thread that can be left alone: the last of the two to let go frees this.
 */
struct dial {
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t ended;
	bool done, left_alone;
	int rc, fd;
	struct err e;
	struct url url;	     /* fixed */
	unsigned timeout_ms; /* fixed */
};

static void dial_free(struct dial *d)
{
	if (d->fd >= 0)
		close(d->fd);
	pthread_cond_destroy(&d->ended);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static struct dial *dial_new(const struct url *u, unsigned timeout_ms)
{
	struct dial *d = calloc(1, sizeof(*d));
	pthread_condattr_t monotonic;

	if (!d)
		return NULL;
	d->url = *u;
	d->timeout_ms = timeout_ms;
	d->fd = -1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return d;
}

static void *dial_run(void *arg)
{
	struct dial *d = arg;
	struct err e = {0};
	int fd = -1, rc = net_dial(&d->url, d->timeout_ms, NULL, &fd, &e);
	bool mine;

	pthread_mutex_lock(&d->lock);
	d->rc = rc;
	d->fd = rc == 0 ? fd : -1;
	d->e = e;
	d->done = true;
	mine = d->left_alone;
	pthread_cond_signal(&d->ended);
	pthread_mutex_unlock(&d->lock);
	if (mine)
		dial_free(d);
	return NULL;
}

/* Signals are for the threads the program meant them for. */
static int dial_start(struct dial *d)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int errnum;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errnum = pthread_create(&thread, &attr, dial_run, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return errnum;
}

/* With the lock: until it is done, or patience has ended. */
static int dial_wait(struct dial *d, const struct patience *p, struct err *e)
{
	int r = 0;

	while (!d->done && (r = patience_check(p, e)) == 0) {
		uint64_t then = clock_ms() + (uint64_t)patience_slice(p);
		struct timespec t = {(time_t)(then / 1000), (long)(then % 1000) * 1000000};

		pthread_cond_timedwait(&d->ended, &d->lock, &t);
	}
	return d->done ? 0 : r;
}

int fetch_dial(const struct url *u, const struct patience *p, int *fd, struct err *e)
{
	uint64_t now = clock_ms();
	struct dial *d;
	bool done;
	int r, errnum;

	if ((r = patience_check(p, e)) != 0)
		return r;
	if ((d = dial_new(u, (unsigned)(p->deadline - now))) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for a connection");
	if ((errnum = dial_start(d)) != 0) {
		dial_free(d);
		return err_set(e, PQC_ETEMP, "no thread for a connection: %s", strerror(errnum));
	}
	pthread_mutex_lock(&d->lock);
	r = dial_wait(d, p, e);
	if ((done = d->done)) {
		*fd = d->fd;
		d->fd = -1; /* transferred */
		if ((r = d->rc) != 0)
			err_set(e, r, "%s", d->e.msg);
	}
	d->left_alone = true;
	pthread_mutex_unlock(&d->lock);
	if (done)
		dial_free(d);
	return r;
}

/* ---- Unix sockets ---- */

/* What does not fit is reached through a descriptor of its directory, *dir, the caller's to close. */
static int unix_address(const char *path, struct sockaddr_un *a, int *dir)
{
	const char *slash = strrchr(path, '/');
	char copy[PATH_MAX];

	a->sun_family = AF_UNIX;
	if (strlen(path) < sizeof(a->sun_path)) {
		memcpy(a->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (!slash || strlen(path) >= sizeof(copy))
		return ENAMETOOLONG;
	memcpy(copy, path, strlen(path) + 1);
	if ((*dir = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return errno;
	if (snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d%s", *dir, slash) >=
	    (int)sizeof(a->sun_path))
		return ENAMETOOLONG;
	return 0;
}

/* EAGAIN is a queue of connections that is full; nothing tells when it no longer is. */
static int unix_connect(int fd, const struct sockaddr_un *a, const struct patience *p,
			struct err *e)
{
	int r;

	while (connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0) {
		if (errno != EAGAIN && errno != EINTR)
			return err_sys(e, errno, "cannot connect");
		if ((r = patience_check(p, e)) != 0)
			return r;
		poll(NULL, 0, SLICE_MS / 5);
	}
	return 0;
}

int fetch_dial_unix(const char *path, const struct patience *p, int *fd, struct err *e)
{
	struct sockaddr_un a = {0};
	int s = -1, dir = -1, errnum, r;

	if ((errnum = unix_address(path, &a, &dir)) != 0) {
		r = err_sys(e, errnum, "cannot connect");
		goto out;
	}
	if ((s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0) {
		r = err_sys(e, errno, "no socket");
		goto out;
	}
	if ((r = unix_connect(s, &a, p, e)) != 0)
		goto out;
	*fd = s;
	s = -1; /* transferred */
out:
	if (s >= 0)
		close(s);
	if (dir >= 0)
		close(dir);
	return r;
}
