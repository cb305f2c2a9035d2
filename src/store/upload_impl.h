/* An open upload: what upload.c and parts.c share. */
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

#endif
