/* Files and directories of the store: relative to descriptors, symbolic links never followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "store/store_impl.h"

#define IDS_MAX ((size_t)64 << 20) /* bytes of ids in one shard: a million */

int dir_open(int parent, const char *name, int *fd, struct err *e)
{
	*fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd >= 0 ? 0 : err_sys(e, errno, "directory %s", name);
}

int dir_make(int parent, const char *name, struct err *e)
{
	if (mkdirat(parent, name, 0700) == 0)
		return file_fsync_dir(parent, e);
	return errno == EEXIST ? 0 : err_sys(e, errno, "mkdir %s", name);
}

int dir_fresh(int parent, struct err *e)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "directory");
	close(fd);
	return 0;
}

int dir_sub(int parent, const char *name, bool create, int *fd, struct err *e)
{
	int rc;

	if (create && (rc = dir_make(parent, name, e)) != 0)
		return rc;
	if ((rc = dir_open(parent, name, fd, e)) != PQC_ENOTFOUND ||
	    (rc = dir_fresh(parent, e)) != 0)
		return rc;
	return dir_open(parent, name, fd, e);
}

int dir_shard(int parent, const uint8_t *id, bool create, int *fd, struct err *e)
{
	char name[3];

	hex_encode(id, 1, name);
	return dir_sub(parent, name, create, fd, e);
}

int dir_file(int dir, const char *name, int flags, int *fd, struct err *e)
{
	struct stat st;

	/* O_NONBLOCK: a planted fifo must not hold the server up. It means nothing for a file. */
	flags |= O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	if ((*fd = openat(dir, name, flags, 0600)) < 0)
		return err_sys(e, errno, "%s", name);
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	close(*fd);
	*fd = -1;
	return err_set(e, PQC_EIO, "%s is no regular file", name);
}

int dir_lock(int fd, bool wait, struct err *e)
{
	int rc;

	do
		rc = flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
	while (rc != 0 && errno == EINTR);
	return rc == 0 ? 0 : err_sys(e, errno, "lock");
}

int dir_read(int dir, const char *name, struct buf *b, struct err *e)
{
	size_t start = b->len, got;
	struct stat st;
	uint8_t *p;
	int fd, rc;

	if ((rc = dir_file(dir, name, O_RDONLY, &fd, e)) != 0)
		return rc;
	if (fstat(fd, &st) != 0) {
		rc = err_sys(e, errno, "%s", name);
	} else if ((uint64_t)st.st_size > b->max - start) {
		rc = err_set(e, PQC_EINTEGRITY, "%s is larger than it can be", name);
	} else if (st.st_size > 0 && (p = buf_extend(b, (size_t)st.st_size)) == NULL) {
		rc = err_set(e, buf_error(b), "%s: no memory to read it", name);
	} else if (st.st_size > 0 && (rc = file_read(fd, p, (size_t)st.st_size, &got, e)) == 0) {
		buf_truncate(b, start + got);
	}
	if (rc != 0 && buf_error(b) == 0)
		buf_truncate(b, start);
	close(fd);
	return rc;
}

int dir_write(int dir, const char *name, const struct span *content, struct err *e)
{
	int fd, rc;

	if ((rc = dir_file(dir, name, O_WRONLY | O_CREAT | O_TRUNC, &fd, e)) != 0)
		return rc;
	rc = file_write(fd, content->p, content->n, e);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_sys(e, errno, "fsync");
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(e, errno, "close");
	if (rc != 0)
		err_prefix(e, "%s", name);
	return rc;
}

int dir_has(int dir, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return err_sys(e, errno, "%s", name);
}

int dir_each(int dir, int (*each)(void *arg, int dir, const char *name), void *arg, struct err *e)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (d == NULL) {
		rc = err_sys(e, errno, "directory");
		if (fd >= 0)
			close(fd);
		return rc;
	}
	for (;;) {
		errno = 0;
		if ((entry = readdir(d)) == NULL) {
			rc = errno == 0 ? 0 : err_sys(e, errno, "directory");
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((rc = each(arg, dir, entry->d_name)) != 0)
			break;
	}
	closedir(d);
	return rc;
}

static int take_shard(void *arg, int dir, const char *name)
{
	bool *present = arg;
	uint8_t id;

	(void)dir;
	if (hex_decode(name, &id, 1) == 0)
		present[id] = true;
	return 0;
}

int dir_shards(int parent, bool present[256], struct err *e)
{
	memset(present, 0, 256 * sizeof(*present));
	return dir_each(parent, take_shard, present, e);
}

struct id_search {
	const char *after;
	struct buf *out;
};

bool dir_is_id(const char *name)
{
	return strspn(name, "0123456789abcdef") == HEX_ID - 1 && name[HEX_ID - 1] == '\0';
}

static int take_id(void *arg, int dir, const char *name)
{
	struct id_search *search = arg;

	(void)dir;
	if (dir_is_id(name) && strcmp(name, search->after) > 0)
		buf_put(search->out, name, HEX_ID);
	return buf_error(search->out);
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, HEX_ID);
}

int dir_ids(int dir, const char *after, struct buf *out, struct err *e)
{
	struct id_search search = {after, out};
	int rc;

	buf_reset(out);
	out->max = IDS_MAX;
	if ((rc = dir_each(dir, take_id, &search, e)) != 0)
		return buf_error(out) ? err_set(e, buf_error(out), "too many names") : rc;
	if (out->len > 0)
		qsort(out->p, out->len / HEX_ID, HEX_ID, compare_ids);
	return 0;
}

static int unlink_entry(void *arg, int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return err_sys(arg, errno, "%s", name);
}

int dir_remove(int parent, const char *name, struct err *e)
{
	int dir, rc;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, errno, "%s", name);
	if ((rc = dir_open(parent, name, &dir, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = dir_each(dir, unlink_entry, e, e);
	close(dir);
	if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		rc = err_sys(e, errno, "%s", name);
	return rc;
}
