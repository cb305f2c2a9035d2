/* Where a pipeline's bytes go. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "client/io.h"
#include "client/pipeline.h"

static int init_fd(struct sink *s, struct err *e)
{
	struct stat st;
	int flags;
	off_t at;

	if (fstat(s->fd, &st) != 0 || (flags = fcntl(s->fd, F_GETFL)) < 0)
		return err_sys(e, errno, "output");
	end_widen_pipe(s->fd, &st);
	/* pwrite(2) on an O_APPEND file appends whatever the offset says. */
	if (!S_ISREG(st.st_mode) || (flags & O_APPEND) != 0)
		return 0;
	if ((at = lseek(s->fd, 0, SEEK_CUR)) < 0)
		return err_sys(e, errno, "output");
	s->seekable = true;
	s->base = (uint64_t)at;
	return 0;
}

int sink_init(struct sink *s, const struct pqc_sink *to, struct err *e)
{
	int r;

	*s = (struct sink){.to = to, .fd = -1, .direct = -1, .file = OUTFILE_NONE};
	if ((r = to_check(to, e)) != 0)
		return r;
	switch (to->kind) {
	case PQC_IO_PATH:
		if ((r = outfile_open(&s->file, to->path, to->replace != 0, e)) != 0)
			return r;
		s->fd = s->file.fd;
		return init_fd(s, e);
	case PQC_IO_FD:
		s->fd = to->fd;
		return init_fd(s, e);
	case PQC_IO_MEMORY:
		s->seekable = true;
		s->memory = to->data;
		s->room = to->size;
		return 0;
	case PQC_IO_CALLBACK:
		break;
	}
	return 0;
}

int ends_apart(const struct source *from, const struct sink *to, struct err *e)
{
	struct stat st;

	if (from->fd < 0 || to->fd < 0 || !S_ISREG(from->before.st_mode))
		return io_apart(from->from, to->to, e);
	if (fstat(to->fd, &st) != 0)
		return err_sys(e, errno, "output");
	if (st.st_dev != from->before.st_dev || st.st_ino != from->before.st_ino)
		return 0;
	return err_set(e, PQC_EUSAGE, "source and sink are the same file");
}

static int too_small(const struct sink *s, uint64_t n, struct err *e)
{
	return err_set(e, PQC_ETOOBIG, "the memory has room for %llu bytes, and %llu are needed",
		       (unsigned long long)s->room, (unsigned long long)n);
}

int sink_expect(struct sink *s, uint64_t n, struct err *e)
{
	char size[16];

	if (s->to->kind == PQC_IO_MEMORY)
		return n <= s->room ? 0 : too_small(s, n, e);
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
	outfile_close(&s->file);
}

uint8_t *sink_at(const struct sink *s, uint64_t off, size_t n)
{
	return s->memory != NULL && off <= s->room && n <= s->room - off ? s->memory + off : NULL;
}

static int write_memory(const struct sink *s, const void *p, size_t n, uint64_t off, struct err *e)
{
	uint8_t *at = sink_at(s, off, n);

	if (n > 0 && at == NULL)
		return err_set(e, PQC_ETOOBIG, "the memory has room for %llu bytes, and more came",
			       (unsigned long long)s->room);
	if (n > 0 && at != p)
		memcpy(at, p, n);
	return 0;
}

int sink_write(const struct sink *s, const void *p, size_t n, uint64_t off, struct err *e)
{
	int r;

	if (s->to->kind == PQC_IO_CALLBACK)
		return callback_write(s->to, p, n, e);
	if (s->to->kind == PQC_IO_MEMORY)
		return write_memory(s, p, n, off, e);
	if (s->seekable)
		r = file_pwrite_direct(s->fd, s->direct, p, n, s->base + off, e);
	else if (s->halt == NULL)
		r = file_write(s->fd, p, n, e);
	else
		r = slow_write(s->fd, &(struct slow_end){halt_is_set, s->halt}, p, n, e);
	if (r != 0 && r != PQC_EINTERRUPTED)
		err_prefix(e, "output");
	return r;
}

int sink_finish(struct sink *s, uint64_t n, struct err *e)
{
	if (s->fd < 0)
		return 0;
	if (s->seekable && lseek(s->fd, (off_t)(s->base + n), SEEK_SET) < 0)
		return err_sys(e, errno, "output");
	return outfile_commit(&s->file, e);
}
