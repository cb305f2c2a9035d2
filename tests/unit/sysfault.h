/*
 * System calls that fail, or at which the process dies, at a chosen count; a death may
 * take what was written and not yet synced with it, as a power cut does. These
 * definitions take the place of the C library's in the program they are included in.
 * Include this first, once. Nothing is truly synced: the machine is to live on.
 */
#ifndef PQC_TESTS_SYSFAULT_H
#define PQC_TESTS_SYSFAULT_H

/* The fortified headers define some of these inline. */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYSFAULT_EXIT 77

enum sysfault_mode {
	SYSFAULT_OFF,
	SYSFAULT_FAIL,
	SYSFAULT_DIE, /* like kill -9: what was written stays */
	SYSFAULT_CUT, /* like a power cut: what was written and not synced is zeros */
};

static struct {
	enum sysfault_mode mode;
	unsigned at;	/* the call that it happens at, from 1 */
	unsigned count; /* calls so far */
	int errnum;	/* 0: as fits the call, a full disk for what takes space, else EIO */
} sysfault;

static inline void sysfault_set(enum sysfault_mode mode, unsigned at, int errnum)
{
	sysfault.mode = mode;
	sysfault.at = at;
	sysfault.count = 0;
	sysfault.errnum = errnum;
}

/* What was written and not synced, for SYSFAULT_CUT. */
#define SYSFAULT_WRITES_MAX 256
static struct {
	int fd; /* a duplicate, -1: synced since */
	ino_t ino;
	int64_t off, len;
} sysfault_writes[SYSFAULT_WRITES_MAX];
static unsigned sysfault_writes_n;

static ino_t sysfault_ino(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static void sysfault_wrote(int fd, int64_t off, long len)
{
	if (sysfault.mode != SYSFAULT_CUT || len <= 0)
		return;
	if (sysfault_writes_n == SYSFAULT_WRITES_MAX)
		_exit(1);
	sysfault_writes[sysfault_writes_n].fd = dup(fd);
	sysfault_writes[sysfault_writes_n].ino = sysfault_ino(fd);
	sysfault_writes[sysfault_writes_n].off = off;
	sysfault_writes[sysfault_writes_n++].len = len;
}

static int sysfault_sync(int fd)
{
	ino_t ino = sysfault_ino(fd);

	for (unsigned i = 0; i < sysfault_writes_n; i++)
		if (sysfault_writes[i].fd >= 0 && sysfault_writes[i].ino == ino) {
			close(sysfault_writes[i].fd);
			sysfault_writes[i].fd = -1;
		}
	return 0;
}

static void sysfault_die(void)
{
	static const char zeros[65536];

	for (unsigned i = 0; i < sysfault_writes_n; i++)
		for (int64_t at = 0; sysfault_writes[i].fd >= 0 && at < sysfault_writes[i].len;) {
			int64_t n = sysfault_writes[i].len - at;
			long put = syscall(SYS_pwrite64, sysfault_writes[i].fd, zeros,
					   n < (int64_t)sizeof(zeros) ? n : (int64_t)sizeof(zeros),
					   sysfault_writes[i].off + at);

			if (put <= 0)
				_exit(1);
			at += put;
		}
	_exit(SYSFAULT_EXIT);
}

/* Is it this call's turn? Then the process is dead, or errno set. */
static bool sysfault_now(int errnum)
{
	if (sysfault.mode == SYSFAULT_OFF || ++sysfault.count != sysfault.at)
		return false;
	if (sysfault.mode != SYSFAULT_FAIL)
		sysfault_die();
	errno = sysfault.errnum != 0 ? sysfault.errnum : errnum;
	return true;
}

static long sysfault_put(int fd, const void *p, size_t n, int64_t off)
{
	int64_t at = off < 0 ? lseek(fd, 0, SEEK_CUR) : off;
	long put = off < 0 ? syscall(SYS_write, fd, p, n) : syscall(SYS_pwrite64, fd, p, n, off);

	sysfault_wrote(fd, at, put);
	return put;
}

/* A write stops half way: half of it was done when the process dies or the error is told. */
static bool sysfault_write(int fd, const void *p, size_t n, int64_t off)
{
	if (sysfault.mode != SYSFAULT_OFF && sysfault.count + 1 == sysfault.at)
		sysfault_put(fd, p, n / 2, off);
	return sysfault_now(ENOSPC);
}

static mode_t sysfault_mode_of(int flags, va_list ap)
{
	return (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = sysfault_mode_of(flags, ap);
	va_end(ap);
	if (sysfault_now((flags & O_CREAT) != 0 ? ENOSPC : EIO))
		return -1;
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = sysfault_mode_of(flags, ap);
	va_end(ap);
	if (sysfault_now((flags & O_CREAT) != 0 ? ENOSPC : EIO))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *p, size_t n)
{
	return sysfault_write(fd, p, n, -1) ? -1 : sysfault_put(fd, p, n, -1);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	return sysfault_write(fd, p, n, off) ? -1 : sysfault_put(fd, p, n, off);
}

int fsync(int fd)
{
	return sysfault_now(EIO) ? -1 : sysfault_sync(fd);
}

int fdatasync(int fd)
{
	return sysfault_now(EIO) ? -1 : sysfault_sync(fd);
}

int ftruncate(int fd, off_t len)
{
	return sysfault_now(EIO) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	return sysfault_now(ENOSPC) ? -1 : (int)syscall(SYS_fallocate, fd, mode, off, len);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return sysfault_now(ENOSPC) ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
}

int unlinkat(int dir, const char *path, int flags)
{
	return sysfault_now(EIO) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return sysfault_now(ENOSPC) ? -1
				    : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int fchmod(int fd, mode_t mode)
{
	return sysfault_now(EIO) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return sysfault_now(EIO) ? -1 : (int)syscall(SYS_newfstatat, dir, path, st, flags);
}

#endif
