/* Files: whole reads with a limit, atomic durable writes, walking beneath a directory handle. */
#ifndef PQC_BASE_FILE_H
#define PQC_BASE_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* How the temporary names of file_replace and file_create begin: what a crash may leave behind. */
#define FILE_TMP_PREFIX ".pqc-tmp-"

/* Read exactly n bytes at off; PQC_EINTEGRITY when the file ends before. */
int file_pread(int fd, void *p, size_t n, uint64_t off, struct err *e) MUST_CHECK;
/* Write exactly n bytes at off. ENOSPC and EDQUOT give PQC_EQUOTA. */
int file_pwrite(int fd, const void *p, size_t n, uint64_t off, struct err *e) MUST_CHECK;
#define FILE_BLOCK 4096
/* From this many bytes on it pays to write a new file past the page cache. */
#define FILE_DIRECT_FROM (UINT64_C(64) << 20)
/* A second descriptor of fd's file, for file_pwrite_direct: the caller's to close; -1 where that cannot be. */
int file_open_direct(int fd);
/*
 * file_pwrite, past the page cache for the whole FILE_BLOCK blocks of the file if p's address is
 * congruent to off modulo FILE_BLOCK; direct -1: all of it the usual way. The same file may
 * be written both ways at the same time as long as nobody writes one block in both.
 */
int file_pwrite_direct(int fd, int direct, const void *p, size_t n, uint64_t off,
		       struct err *e) MUST_CHECK;
/* read()/write() until n bytes, end of file or error. *got is less than n only at end of file. */
int file_read(int fd, void *p, size_t n, size_t *got, struct err *e) MUST_CHECK;
int file_write(int fd, const void *p, size_t n, struct err *e) MUST_CHECK;

/*
 * Append the whole file at dirfd/path (AT_FDCWD allowed) to b; PQC_ETOOBIG past
 * b's maximum, PQC_ENOTFOUND. On error b's content is as before. Pipes are read too.
 */
int file_slurp(int dirfd, const char *path, struct buf *b, struct err *e) MUST_CHECK;

/*
 * Replace dirfd/path durably: temporary name in the same directory, write,
 * fsync, rename, fsync of the directory. A reader sees the old or the new
 * content. mode is exact (no umask). A symbolic link at path is replaced, not followed.
 */
int file_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode,
		 struct err *e) MUST_CHECK;
/* The same, but PQC_EEXIST when path is there already (decided atomically by link(2)). */
int file_create(int dirfd, const char *path, const void *p, size_t n, mode_t mode,
		struct err *e) MUST_CHECK;

/* The process's umask, without setting another for a moment, which other threads would see. 077 where it cannot be told. */
mode_t file_umask(void);
int file_fsync_dir(int dirfd, struct err *e) MUST_CHECK;
/* mkdir -p with mode (and umask) for every missing directory; the new entries are fsynced. */
int file_mkdirs(const char *path, mode_t mode, struct err *e) MUST_CHECK;
/*
 * Open the directory that holds the last component of name (already passed by
 * name_check) beneath root, creating missing directories (0777 and umask, fsynced)
 * when create, without following any symbolic link: one on the way, and any way
 * out of root, is PQC_EREFUSED, another kind of file on the way PQC_EEXIST.
 * *dirfd is the caller's to close; *base points into name.
 */
int file_open_parent(int root, const char *name, bool create, int *dirfd, const char **base,
		     struct err *e) MUST_CHECK;

#endif
