/* An open upload: what upload.c, parts.c and commit.c share. */
#ifndef PQC_STORE_UPLOAD_IMPL_H
#define PQC_STORE_UPLOAD_IMPL_H

#include "store/store_impl.h"

struct upload {
	struct store *s;
	int dir, body, leaves;
	int direct; /* body again, with O_DIRECT; -1: not wanted or not to be had */
	struct record r;
	struct pqx_header h;
	struct buf head, manifest, receipt;
	bool committed;
	bool failed; /* writing back failed: what is in the page cache may never reach the disk */
};

/* May it still be written? */
int upload_usable(const struct upload *u, struct err *e) MUST_CHECK;
/* The answer to a failed fdatasync. */
int upload_lost(struct upload *u, int errnum, const char *what, struct err *e) MUST_CHECK;
/* Write u->r. */
int upload_write_info(const struct upload *u, struct err *e) MUST_CHECK;
/*
 * Locked. A receipt is there: take up what it says, and enter the name unless that was done.
 * PQC_ENOTFOUND: the object was replaced by a newer one; its end is brought about.
 */
int upload_finish(struct upload *u, struct err *e) MUST_CHECK;

#endif
