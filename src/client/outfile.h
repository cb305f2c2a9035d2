/*
 * A file that appears under its name only when it is whole: written under a
 * temporary name beside it, then synced and renamed. What exists and is no regular file (a device,
 * a pipe) is written to directly.
 */
#ifndef PQC_CLIENT_OUTFILE_H
#define PQC_CLIENT_OUTFILE_H

#include <stdbool.h>

#include "base/err.h"

struct outfile {
	int fd;
	int dirfd;	  /* -1: written to directly */
	const char *path; /* borrowed */
	const char *base; /* within path */
	bool replace;
	char tmp[64];
};
#define OUTFILE_NONE ((struct outfile){.fd = -1, .dirfd = -1})

/* PQC_EEXIST when path is there and replace is false. After a failure outfile_close is still due. */
int outfile_open(struct outfile *f, const char *path, bool replace, struct err *e) MUST_CHECK;
/* Give it its name; PQC_EEXIST when somebody else took that meanwhile. */
int outfile_commit(struct outfile *f, struct err *e) MUST_CHECK;
/* Close; removes what was not committed. */
void outfile_close(struct outfile *f);

#endif
