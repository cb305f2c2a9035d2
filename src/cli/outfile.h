/*
 * A file that appears under its name only when it is whole: written under a
 * temporary name beside it, then synced and renamed. "-" is standard output; what exists and
 * is no regular file (a device, a pipe) is written to directly.
 */
#ifndef PQC_CLI_OUTFILE_H
#define PQC_CLI_OUTFILE_H

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

/*
 * PQC_EEXIST when path is there and replace is false, PQC_EUSAGE for standard output on a
 * terminal, which binary data would upset.
 */
int outfile_open(struct outfile *f, const char *path, bool replace, struct err *e) MUST_CHECK;
/* Give it its name; PQC_EEXIST when somebody else took that meanwhile. */
int outfile_commit(struct outfile *f, struct err *e) MUST_CHECK;
/* Close; removes what was not committed. */
void outfile_close(struct outfile *f);

#endif
