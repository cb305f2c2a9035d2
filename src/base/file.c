/* Reading and writing ranges and whole files. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SLURP_STEP 16384

/* Is [off, off + n) within what off_t can say? */
static bool range_ok(uint64_t off, size_t n)
{
	return off <= INT64_MAX && n <= INT64_MAX - off;
}

int file_pread(int fd, void *p, size_t n, uint64_t off, struct err *e)
{
	uint8_t *at = p;

	if (!range_ok(off, n))
		return err_sys(e, EOVERFLOW, "read at offset %llu", (unsigned long long)off);
	while (n > 0) {
		ssize_t got = pread(fd, at, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, errno, "read at offset %llu", (unsigned long long)off);
		if (got == 0)
			return err_set(e, PQC_EINTEGRITY,
				       "the file ends at %llu, %zu bytes too early",
				       (unsigned long long)off, n);
		at += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int file_pwrite(int fd, const void *p, size_t n, uint64_t off, struct err *e)
{
	const uint8_t *at = p;

	if (!range_ok(off, n))
		return err_sys(e, EOVERFLOW, "write at offset %llu", (unsigned long long)off);
	while (n > 0) {
		ssize_t put = pwrite(fd, at, n, (off_t)off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_sys(e, put < 0 ? errno : EIO, "write at offset %llu",
				       (unsigned long long)off);
		at += put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int file_read(int fd, void *p, size_t n, size_t *got, struct err *e)
{
	uint8_t *at = p;

	*got = 0;
	while (*got < n) {
		ssize_t r = read(fd, at + *got, n - *got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, errno, "read");
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return 0;
}

int file_write(int fd, const void *p, size_t n, struct err *e)
{
	const uint8_t *at = p;

	while (n > 0) {
		ssize_t put = write(fd, at, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_sys(e, put < 0 ? errno : EIO, "write");
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Append what is left of fd to b. */
static int slurp_fd(int fd, struct buf *b, struct err *e)
{
	size_t room, got;
	uint8_t *p, probe;
	int rc;

	while ((room = b->max - b->len) > 0) {
		size_t n = room < SLURP_STEP ? room : SLURP_STEP;

		if ((p = buf_extend(b, n)) == NULL)
			return err_set(e, buf_error(b), "no memory to read the file");
		if ((rc = file_read(fd, p, n, &got, e)) != 0)
			return rc;
		buf_truncate(b, b->len - (n - got));
		if (got < n)
			return 0;
	}
	/* Full: that is right only at the end of the file. */
	if ((rc = file_read(fd, &probe, 1, &got, e)) != 0)
		return rc;
	explicit_bzero(&probe, 1);
	return got == 0 ? 0
			: err_set(e, PQC_ETOOBIG, "the file is larger than the limit, %zu bytes",
				  b->max);
}

int file_slurp(int dirfd, const char *path, struct buf *b, struct err *e)
{
	size_t start = b->len;
	int fd, rc;

	if (buf_error(b))
		return err_set(e, buf_error(b), "%s: the buffer failed before", path);
	if ((fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
		return err_sys(e, errno, "%s", path);
	if ((rc = slurp_fd(fd, b, e)) != 0) {
		buf_truncate(b, start);
		err_prefix(e, "%s", path);
	}
	close(fd);
	return rc;
}
