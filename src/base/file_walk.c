/* Walking directories one component at a time, creating what is missing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

struct walk {
	int dir; /* where we are: an O_PATH descriptor, owned */
	bool create;
	mode_t mode;	  /* of what is created */
	uint64_t resolve; /* RESOLVE_* of openat2(2) */
};

static int open_dir(const struct walk *w, const char *name)
{
	/* O_PATH: a directory that may be passed but not listed is no obstacle. */
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = w->resolve,
	};

	return (int)syscall(SYS_openat2, w->dir, name, &how, sizeof(how));
}

/* The directory of an O_PATH descriptor, open for reading and fsync. */
static int reopen(int dir, int *out, struct err *e)
{
	if ((*out = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "directory");
	return 0;
}

static int make_dir(const struct walk *w, const char *name, struct err *e)
{
	int fd, rc;

	if (mkdirat(w->dir, name, w->mode) != 0)
		/* Another may have made it meanwhile, which is as good. */
		return errno == EEXIST ? 0 : err_sys(e, errno, "mkdir");
	if ((rc = reopen(w->dir, &fd, e)) != 0)
		return rc;
	rc = file_fsync_dir(fd, e);
	close(fd);
	return rc;
}

static int walk_error(int errnum, const char *name, struct err *e)
{
	if (errnum == EXDEV)
		return err_set(e, PQC_EREFUSED, "%s leads out of the directory", name);
	if (errnum == ENOTDIR)
		return err_set(e, PQC_EEXIST, "%s is there and is no directory", name);
	return err_sys(e, errnum, "directory %s", name);
}

/* Step into the directory of this name, n bytes. */
static int walk_into(struct walk *w, const char *s, size_t n, struct err *e)
{
	char name[NAME_MAX + 1];
	int next, rc;

	if (n >= sizeof(name))
		return err_sys(e, ENAMETOOLONG, "directory");
	memcpy(name, s, n);
	name[n] = '\0';
	next = open_dir(w, name);
	if (next < 0 && errno == ENOENT && w->create) {
		if ((rc = make_dir(w, name, e)) != 0)
			return rc;
		next = open_dir(w, name);
	}
	if (next < 0)
		return walk_error(errno, name, e);
	close(w->dir);
	w->dir = next;
	return 0;
}

/* From start along path, n bytes. Also after a failure walk_end is due. */
static int walk(struct walk *w, int start, const char *path, size_t n, struct err *e)
{
	const char *end = path + n, *next;
	int rc = 0;

	if ((w->dir = openat(start, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "directory");
	for (; path < end && rc == 0; path = next) {
		next = memchr(path, '/', (size_t)(end - path));
		next = next ? next : end;
		if (next > path)
			rc = walk_into(w, path, (size_t)(next - path), e);
		next += next < end;
	}
	return rc;
}

static void walk_end(struct walk *w)
{
	if (w->dir >= 0)
		close(w->dir);
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	struct walk w = {.dir = -1, .create = true, .mode = mode};
	int start = AT_FDCWD, rc;

	if (path[0] == '/' && (start = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "/");
	if ((rc = walk(&w, start, path, strlen(path), e)) != 0)
		err_prefix(e, "%s", path);
	walk_end(&w);
	if (start >= 0)
		close(start);
	return rc;
}

int file_open_parent(int root, const char *name, bool create, int *dirfd, const char **base,
		     struct err *e)
{
	struct walk w = {
		.dir = -1,
		.create = create,
		.mode = 0777,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	const char *slash = strrchr(name, '/');
	int rc, fd;

	if ((rc = walk(&w, root, name, slash ? (size_t)(slash - name) : 0, e)) == 0)
		rc = reopen(w.dir, &fd, e);
	walk_end(&w);
	if (rc != 0) {
		err_prefix(e, "%s", name);
		return rc;
	}
	*dirfd = fd;
	*base = slash ? slash + 1 : name;
	return 0;
}
