/* Writing past the page cache. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

int file_open_direct(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

/* Whole blocks. What a file system will not take directly goes the usual way. */
static int write_blocks(int fd, int direct, const uint8_t *p, size_t n, uint64_t off, struct err *e)
{
	while (n > 0) {
		ssize_t k = pwrite(direct, p, n, (off_t)off);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0 || (size_t)k % FILE_BLOCK != 0)
			return file_pwrite(fd, p, n, off, e);
		p += k;
		n -= (size_t)k;
		off += (size_t)k;
	}
	return 0;
}

int file_pwrite_direct(int fd, int direct, const void *data, size_t n, uint64_t off, struct err *e)
{
	const uint8_t *p = data;
	size_t head = (size_t)(-off % FILE_BLOCK), blocks;
	int r;

	if (direct < 0 || n < head + FILE_BLOCK || ((uintptr_t)p + head) % FILE_BLOCK != 0)
		return file_pwrite(fd, p, n, off, e);
	blocks = (n - head) / FILE_BLOCK * FILE_BLOCK;
	if ((r = file_pwrite(fd, p, head, off, e)) != 0 ||
	    (r = write_blocks(fd, direct, p + head, blocks, off + head, e)) != 0)
		return r;
	return file_pwrite(fd, p + head + blocks, n - head - blocks, off + head + blocks, e);
}
