/* The two ends of a pipeline: regular files with random access, and streams. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "client/pipeline.h"

#define PIPE_WANTED (1 << 20) /* bytes a pipe should hold; the system's 64 KiB cost a third */

/* Files of /proc claim to be empty and are not: they are read as streams. */
static bool has_more_than_it_says(int fd, const struct stat *st)
{
	uint8_t probe;

	return st->st_size == 0 && pread(fd, &probe, 1, 0) == 1;
}

static void widen_pipe(int fd, const struct stat *st)
{
	if (S_ISFIFO(st->st_mode))
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_WANTED); /* refused over a quota: no harm */
}

int source_init(struct source *s, int fd, struct err *e)
{
	off_t at;

	*s = (struct source){.fd = fd};
	if (fstat(fd, &s->before) != 0)
		return err_sys(e, errno, "input");
	if (!S_ISREG(s->before.st_mode) || has_more_than_it_says(fd, &s->before)) {
		widen_pipe(fd, &s->before);
		return 0;
	}
	if ((at = lseek(fd, 0, SEEK_CUR)) < 0)
		return err_sys(e, errno, "input");
	s->seekable = true;
	s->base = (uint64_t)at;
	s->size = at < s->before.st_size ? (uint64_t)(s->before.st_size - at) : 0;
	(void)posix_fadvise(fd, at, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

int source_read(const struct source *s, void *p, size_t n, uint64_t off, size_t *got, struct err *e)
{
	uint8_t *at = p;
	int r;

	*got = 0;
	if (!s->seekable) {
		if ((r = file_read(s->fd, p, n, got, e)) != 0)
			err_prefix(e, "input");
		return r;
	}
	while (*got < n) {
		ssize_t k = pread(s->fd, at + *got, n - *got, (off_t)(s->base + off + *got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, errno, "input: read at %llu",
				       (unsigned long long)(s->base + off + *got));
		if (k == 0)
			break;
		*got += (size_t)k;
	}
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int source_unchanged(const struct source *s, struct err *e)
{
	const struct stat *a = &s->before;
	struct stat b;

	if (!s->seekable)
		return 0;
	if (fstat(s->fd, &b) != 0)
		return err_sys(e, errno, "input");
	if (a->st_dev != b.st_dev || a->st_ino != b.st_ino || a->st_size != b.st_size ||
	    !same_time(&a->st_mtim, &b.st_mtim) || !same_time(&a->st_ctim, &b.st_ctim))
		return err_set(e, PQC_ECHANGED, "the input changed while it was read");
	return 0;
}

int sink_init(struct sink *s, int fd, struct err *e)
{
	struct stat st;
	int flags;
	off_t at;

	*s = (struct sink){.fd = fd, .direct = -1};
	if (fstat(fd, &st) != 0 || (flags = fcntl(fd, F_GETFL)) < 0)
		return err_sys(e, errno, "output");
	widen_pipe(fd, &st);
	/* pwrite(2) on an O_APPEND file appends whatever the offset says. */
	if (!S_ISREG(st.st_mode) || (flags & O_APPEND) != 0)
		return 0;
	if ((at = lseek(fd, 0, SEEK_CUR)) < 0)
		return err_sys(e, errno, "output");
	s->seekable = true;
	s->base = (uint64_t)at;
	return 0;
}

int sink_expect(struct sink *s, uint64_t n, struct err *e)
{
	char size[16];

	if (!s->seekable || n == 0)
		return 0;
	if (fallocate(s->fd, 0, (off_t)s->base, (off_t)n) != 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return err_sys(e, errno, "output: %s", fmt_size(n, size));
	if (n >= FILE_DIRECT_FROM)
		s->direct = file_open_direct(s->fd);
	return 0;
}

void sink_close(struct sink *s)
{
	if (s->direct >= 0)
		close(s->direct);
	s->direct = -1;
}

int sink_write(const struct sink *s, const void *p, size_t n, uint64_t off, struct err *e)
{
	int r;

	if (s->seekable)
		r = file_pwrite_direct(s->fd, s->direct, p, n, s->base + off, e);
	else
		r = file_write(s->fd, p, n, e);
	if (r != 0)
		err_prefix(e, "output");
	return r;
}

int sink_finish(const struct sink *s, uint64_t n, struct err *e)
{
	if (s->seekable && lseek(s->fd, (off_t)(s->base + n), SEEK_SET) < 0)
		return err_sys(e, errno, "output");
	return 0;
}
