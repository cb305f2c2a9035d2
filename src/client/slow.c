#include "client/slow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

bool halt_is_set(const void *arg)
{
	const struct halt *h = arg;

	return atomic_load(&h->set) || (h->cancel != NULL && atomic_load(h->cancel));
}

/* 0 when fd is ready; what is wrong with it the read or write after this tells. */
static int wait_for(int fd, short events, const struct slow_end *w, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do {
		if (w->over(w->arg))
			return err_set(e, PQC_EINTERRUPTED, "interrupted");
		n = poll(&p, 1, SLOW_MS);
	} while (n == 0 || (n < 0 && errno == EINTR));
	return 0;
}

int slow_read(int fd, const struct slow_end *w, void *p, size_t n, size_t *got, struct err *e)
{
	int r;

	*got = 0;
	while (*got < n) {
		ssize_t k;

		if ((r = wait_for(fd, POLLIN, w, e)) != 0)
			return r;
		k = read(fd, (uint8_t *)p + *got, n - *got);
		if (k < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (k < 0)
			return err_sys(e, errno, "read");
		if (k == 0)
			break;
		*got += (size_t)k;
	}
	return 0;
}

/*
 * A second way to the same pipe or terminal that does not block: the first may be shared with
 * programs that want it to. -1: there is none.
 */
static int open_again(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int write_all(int fd, bool is_socket, const struct slow_end *w, const uint8_t *p, size_t n,
		     struct err *e)
{
	int r;

	while (n > 0) {
		ssize_t k =
			is_socket ? send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(fd, p, n);

		if (k < 0 && errno == EAGAIN) {
			if ((r = wait_for(fd, POLLOUT, w, e)) != 0)
				return r;
			continue;
		}
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, errno, "write");
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int slow_write(int fd, const struct slow_end *w, const void *p, size_t n, struct err *e)
{
	struct stat st;
	int r, other;

	if (fstat(fd, &st) != 0)
		return err_sys(e, errno, "write");
	if (S_ISSOCK(st.st_mode))
		return write_all(fd, true, w, p, n, e);
	if (S_ISREG(st.st_mode) || (other = open_again(fd)) < 0)
		return file_write(fd, p, n, e);
	r = write_all(other, false, w, p, n, e);
	close(other);
	return r;
}
