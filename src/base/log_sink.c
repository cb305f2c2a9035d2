#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define PATIENCE_MS 100

struct log_sink {
	int fd;
	int own; /* the same pipe by a description of our own, to be closed; -1: none */
	bool socket;
	bool may_block;	      /* a pipe, and its description lets a write wait for ever */
	pthread_mutex_t lock; /* of what follows, and from the look for room to the write */
	bool stuck;	      /* the last line was lost */
	bool torn;	      /* what was written last did not end in a newline */
};

/*
 * O_NONBLOCK belongs to the open file description, which standard error shares with whoever
 * started this program: it is not ours to set. But a pipe can be opened once more. Where that is
 * refused (a pipe of another user), looking for room before each write has to do.
 */
static void look_at_pipe(struct log_sink *s)
{
	char path[32];
	int flags = fcntl(s->fd, F_GETFL);

	if (flags < 0 || (flags & O_NONBLOCK) != 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	s->own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	s->may_block = s->own < 0;
}

int log_sink_new(struct log_sink **out, int fd)
{
	struct log_sink *s = calloc(1, sizeof(*s));
	struct stat st;

	if (s == NULL)
		return PQC_ENOMEM;
	if (pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return PQC_ENOMEM;
	}
	s->fd = fd;
	s->own = -1;
	if (fstat(fd, &st) == 0) {
		s->socket = S_ISSOCK(st.st_mode);
		if (S_ISFIFO(st.st_mode))
			look_at_pipe(s);
	}
	*out = s;
	return 0;
}

void log_sink_free(struct log_sink *s)
{
	if (s == NULL)
		return;
	if (s->own >= 0)
		close(s->own);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static ssize_t write_once(const struct log_sink *s, const void *p, size_t n)
{
	if (s->socket)
		return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(s->own >= 0 ? s->own : s->fd, p, n);
}

/* Wait for room until the deadline. */
static bool has_room(const struct log_sink *s, uint64_t deadline)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};
	int n;

	do {
		uint64_t now = clock_ms();

		n = poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0; /* or an error, which the write will tell */
}

/* Returns how much of p[n] was written until an error or the deadline. */
static size_t write_until(const struct log_sink *s, const uint8_t *p, size_t n, uint64_t deadline)
{
	size_t done = 0;

	while (done < n && (!s->may_block || has_room(s, deadline))) {
		ssize_t k = write_once(s, p + done, n - done);

		if (k > 0)
			done += (size_t)k;
		else if (k < 0 && errno == EAGAIN && clock_ms() < deadline && has_room(s, deadline))
			continue;
		else if (k == 0 || errno != EINTR)
			break;
	}
	return done;
}

bool log_sink_write(struct log_sink *s, const void *line, size_t n)
{
	uint64_t deadline;
	size_t done = 0;

	pthread_mutex_lock(&s->lock);
	/* Whoever waited once in vain does not wait again for each line: the work would crawl. */
	deadline = clock_ms() + (s->stuck ? 0 : PATIENCE_MS);
	if (s->torn)
		s->torn = write_until(s, (const uint8_t *)"\n", 1, deadline) != 1;
	if (!s->torn) {
		done = write_until(s, line, n, deadline);
		s->torn = done > 0 && done < n;
	}
	s->stuck = done < n;
	pthread_mutex_unlock(&s->lock);
	return done == n;
}
