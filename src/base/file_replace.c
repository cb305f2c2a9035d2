/* Files that appear whole, durably and at once. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define TMP_NAME_SIZE (sizeof(FILE_TMP_PREFIX) + 16)

mode_t file_umask(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned mask = 077;
	char line[128];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return mask & 0777;
}

int file_fsync_dir(int dirfd, struct err *e)
{
	/* EINVAL: this file system has no such thing as syncing a directory. */
	if (fsync(dirfd) != 0 && errno != EINVAL)
		return err_sys(e, errno, "fsync of the directory");
	return 0;
}

/* Open the directory that path is in; *base is what follows its last '/'. */
static int open_dir_of(int dirfd, const char *path, int *out, const char **base, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";

	*base = slash ? slash + 1 : path;
	if (slash) {
		size_t len = slash > path ? (size_t)(slash - path) : 1; /* "/a" is in "/" */

		if (len >= sizeof(dir))
			return err_sys(e, ENAMETOOLONG, "its directory");
		memcpy(dir, path, len);
		dir[len] = '\0';
	}
	if ((*out = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "its directory");
	return 0;
}

/* A new file of a random name in dir, open for writing. */
static int tmp_open(int dir, char name[TMP_NAME_SIZE], int *fd, struct err *e)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_sys(e, errno, "getrandom");
	snprintf(name, TMP_NAME_SIZE, FILE_TMP_PREFIX "%016llx", (unsigned long long)random);
	*fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *fd >= 0 ? 0 : err_sys(e, errno, "temporary file");
}

/* What to write, and how. */
struct content {
	const void *p;
	size_t n;
	mode_t mode;
	bool exclusive;
};

/* Make the content durable under its temporary name. Closes fd in any case. */
static int tmp_fill(int fd, const struct content *c, struct err *e)
{
	int rc = file_write(fd, c->p, c->n, e);

	if (rc == 0 && fchmod(fd, c->mode) != 0)
		rc = err_sys(e, errno, "chmod");
	if (rc == 0 && fsync(fd) != 0)
		rc = err_sys(e, errno, "fsync");
	/* A network file system may report a full disk only here. */
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(e, errno, "close");
	return rc;
}

/* Give the file its name. rename(2) takes the place of what is there, link(2) refuses to. */
static int publish(int dir, const char *tmp, const char *base, bool exclusive, struct err *e)
{
	if (!exclusive)
		return renameat(dir, tmp, dir, base) == 0 ? 0 : err_sys(e, errno, "rename");
	if (linkat(dir, tmp, dir, base, 0) != 0)
		return err_sys(e, errno, "link");
	unlinkat(dir, tmp, 0); /* if not, one name too many remains: no failure */
	return 0;
}

static int put_in_dir(int dir, const char *base, const struct content *c, struct err *e)
{
	char tmp[TMP_NAME_SIZE];
	int fd = -1, rc;

	if ((rc = tmp_open(dir, tmp, &fd, e)) != 0)
		return rc;
	if ((rc = tmp_fill(fd, c, e)) != 0 ||
	    (rc = publish(dir, tmp, base, c->exclusive, e)) != 0) {
		unlinkat(dir, tmp, 0);
		return rc;
	}
	return file_fsync_dir(dir, e);
}

static int put_file(int dirfd, const char *path, const struct content *c, struct err *e)
{
	const char *base;
	int dir, rc;

	if ((rc = open_dir_of(dirfd, path, &dir, &base, e)) == 0) {
		rc = put_in_dir(dir, base, c, e);
		close(dir);
	}
	if (rc != 0)
		err_prefix(e, "%s", path);
	return rc;
}

int file_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return put_file(dirfd, path, &(struct content){p, n, mode, false}, e);
}

int file_create(int dirfd, const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	return put_file(dirfd, path, &(struct content){p, n, mode, true}, e);
}
