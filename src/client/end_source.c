/* Where a pipeline's bytes come from. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "client/io.h"
#include "client/pipeline.h"

#define PIPE_WANTED (1 << 20) /* bytes a pipe should hold; the system's 64 KiB cost a third */

/* Files of /proc claim to be empty and are not: they are read as streams. */
static bool has_more_than_it_says(int fd, const struct stat *st)
{
	uint8_t probe;

	return st->st_size == 0 && pread(fd, &probe, 1, 0) == 1;
}

void end_widen_pipe(int fd, const struct stat *st)
{
	if (S_ISFIFO(st->st_mode))
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_WANTED); /* refused over a quota: no harm */
}

static const char *name(const struct source *s)
{
	return s->from->kind == PQC_IO_PATH ? s->from->path : "input";
}

static int init_fd(struct source *s, struct err *e)
{
	off_t at;

	if (fstat(s->fd, &s->before) != 0)
		return err_sys(e, errno, "%s", name(s));
	if (S_ISDIR(s->before.st_mode))
		return err_sys(e, EISDIR, "%s", name(s));
	if (!S_ISREG(s->before.st_mode) || has_more_than_it_says(s->fd, &s->before)) {
		end_widen_pipe(s->fd, &s->before);
		return 0;
	}
	if ((at = lseek(s->fd, 0, SEEK_CUR)) < 0)
		return err_sys(e, errno, "%s", name(s));
	s->seekable = true;
	s->base = (uint64_t)at;
	s->size = at < s->before.st_size ? (uint64_t)(s->before.st_size - at) : 0;
	(void)posix_fadvise(s->fd, at, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

int source_init(struct source *s, const struct pqc_source *from, struct err *e)
{
	int r;

	*s = (struct source){.from = from, .fd = -1, .size = PQX_SIZE_UNKNOWN};
	if ((r = from_check(from, e)) != 0)
		return r;
	switch (from->kind) {
	case PQC_IO_PATH:
		s->fd = open(from->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		return s->fd >= 0 ? init_fd(s, e) : err_sys(e, errno, "%s", from->path);
	case PQC_IO_FD:
		s->fd = from->fd;
		return init_fd(s, e);
	case PQC_IO_MEMORY:
		s->seekable = true;
		s->memory = from->data;
		s->size = from->size;
		break;
	case PQC_IO_CALLBACK:
		s->size = from->size;
		break;
	}
	return 0;
}

void source_close(struct source *s)
{
	if (s->fd >= 0 && s->from->kind == PQC_IO_PATH)
		close(s->fd);
	s->fd = -1;
}

const uint8_t *source_at(const struct source *s, uint64_t off)
{
	return s->memory != NULL ? s->memory + off : NULL;
}

static int read_stream(struct source *s, void *p, size_t n, size_t *got, struct err *e)
{
	const struct slow_end w = {halt_is_set, s->halt};
	int r;

	if (s->from->kind == PQC_IO_CALLBACK)
		return callback_read(s->from, s->halt != NULL ? &w : NULL, &s->taken, p, n, got, e);
	r = s->halt != NULL ? slow_read(s->fd, &w, p, n, got, e) : file_read(s->fd, p, n, got, e);
	if (r != 0 && r != PQC_EINTERRUPTED)
		err_prefix(e, "%s", name(s));
	return r;
}

static int read_file(const struct source *s, uint8_t *p, size_t n, uint64_t off, size_t *got,
		     struct err *e)
{
	while (*got < n) {
		ssize_t k = pread(s->fd, p + *got, n - *got, (off_t)(s->base + off + *got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, errno, "%s: read at %llu", name(s),
				       (unsigned long long)(s->base + off + *got));
		if (k == 0)
			break;
		*got += (size_t)k;
	}
	return 0;
}

int source_read(struct source *s, void *p, size_t n, uint64_t off, size_t *got, struct err *e)
{
	*got = 0;
	if (!s->seekable)
		return read_stream(s, p, n, got, e);
	if (s->from->kind != PQC_IO_MEMORY)
		return read_file(s, p, n, off, got, e);
	if (off < s->size)
		*got = s->size - off < n ? (size_t)(s->size - off) : n;
	if (*got > 0)
		memcpy(p, s->memory + off, *got);
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

	if (!s->seekable || s->fd < 0)
		return 0;
	if (fstat(s->fd, &b) != 0)
		return err_sys(e, errno, "%s", name(s));
	if (a->st_dev != b.st_dev || a->st_ino != b.st_ino || a->st_size != b.st_size ||
	    !same_time(&a->st_mtim, &b.st_mtim) || !same_time(&a->st_ctim, &b.st_ctim))
		return err_set(e, PQC_ECHANGED, "%s changed while it was read", name(s));
	return 0;
}
