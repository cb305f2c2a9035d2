#include "client/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/secmem.h"

static int open_directory(struct outfile *f, struct err *e)
{
	const char *slash = strrchr(f->path, '/');
	char dir[PATH_MAX] = ".";

	f->base = slash != NULL ? slash + 1 : f->path;
	if (slash != NULL && (size_t)(slash - f->path) + 1 >= sizeof(dir))
		return err_sys(e, ENAMETOOLONG, "%.80s...", f->path);
	if (slash != NULL) {
		memcpy(dir, f->path, (size_t)(slash - f->path) + 1);
		dir[slash - f->path + 1] = '\0';
	}
	f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dirfd >= 0 ? 0 : err_sys(e, errno, "%s", dir);
}

static int open_temporary(struct outfile *f, struct err *e)
{
	uint8_t name[8];
	char hex[17];

	if (random_bytes(name, sizeof(name)) != 0)
		return err_set(e, PQC_ECRYPTO, "no randomness for a temporary name");
	hex_encode(name, sizeof(name), hex);
	snprintf(f->tmp, sizeof(f->tmp), FILE_TMP_PREFIX "%s", hex);
	f->fd = openat(f->dirfd, f->tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (f->fd >= 0)
		return 0;
	f->tmp[0] = '\0';
	return err_sys(e, errno, "cannot write beside %s", f->path);
}

int outfile_open(struct outfile *f, const char *path, bool replace, struct err *e)
{
	struct stat st;
	int rc;

	*f = (struct outfile){.fd = -1, .dirfd = -1, .path = path, .replace = replace};
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return err_sys(e, EISDIR, "%s", path);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		f->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return f->fd >= 0 ? 0 : err_sys(e, errno, "%s", path);
	}
	if (!replace && lstat(path, &st) == 0)
		return err_set(e, PQC_EEXIST, "%s is there already", path);
	if ((rc = open_directory(f, e)) != 0)
		return rc;
	return open_temporary(f, e);
}

/* link(2) decides atomically that nothing of this name was there. */
static int take_name(struct outfile *f, struct err *e)
{
	if (f->replace) {
		if (renameat(f->dirfd, f->tmp, f->dirfd, f->base) != 0)
			return err_sys(e, errno, "%s", f->path);
		f->tmp[0] = '\0';
		return 0;
	}
	if (linkat(f->dirfd, f->tmp, f->dirfd, f->base, 0) == 0)
		return 0;
	return err_sys(e, errno, "%s", f->path);
}

int outfile_commit(struct outfile *f, struct err *e)
{
	int rc;

	if (f->dirfd < 0)
		return 0;
	if (fsync(f->fd) != 0)
		return err_sys(e, errno, "%s", f->path);
	if ((rc = take_name(f, e)) != 0)
		return rc;
	return file_fsync_dir(f->dirfd, e);
}

void outfile_close(struct outfile *f)
{
	if (f->tmp[0] != '\0')
		(void)unlinkat(f->dirfd, f->tmp, 0);
	if (f->fd >= 0)
		close(f->fd);
	if (f->dirfd >= 0)
		close(f->dirfd);
}
