/* An open upload: what upload.c, begin.c, lease.c, parts.c and commit.c share. */
#ifndef PQC_STORE_UPLOAD_IMPL_H
#define PQC_STORE_UPLOAD_IMPL_H

#include <stdatomic.h>

#include "store/store_impl.h"

#define TOKEN_LEN 16

struct upload {
	struct store *s;
	int dir, body, leaves;
	int direct; /* body again, with O_DIRECT; -1: not wanted or not to be had */
	struct record r;
	struct pqx_header h;
	struct buf head, manifest, receipt;
	uint8_t token[TOKEN_LEN]; /* what `holder` says while nobody newer claims the upload */
	uint64_t reserved;	  /* bytes the ledger has for it, as far as known here */
	bool claimed;		  /* the token was written */
	bool leased;		  /* body and leaves are locked: the parts are ours to write */
	atomic_bool committed;	  /* looked at by who watches the lease, while another commits */
	bool failed; /* writing back failed: what is in the page cache may never reach the disk */
};

/* NULL: no memory. */
struct upload *upload_alloc(struct store *s);
/* May it still be written? */
int upload_usable(const struct upload *u, struct err *e) MUST_CHECK;
/* The answer to a failed fdatasync. */
int upload_lost(struct upload *u, int errnum, const char *what, struct err *e) MUST_CHECK;
/* Write u->r. */
int upload_write_info(const struct upload *u, struct err *e) MUST_CHECK;
/* The lease was taken just now: what the one before recorded is to stay, also when power fails. */
int upload_settle(struct upload *u, struct err *e) MUST_CHECK;
/* Is u's directory the one that its file_id leads to? PQC_ENOTFOUND when it was dropped meanwhile. */
int upload_still_there(const struct upload *u, struct err *e) MUST_CHECK;
/*
 * Locked. A receipt is there: take up what it says, and enter the name unless that was done.
 * PQC_ENOTFOUND: the object was replaced by a newer one; its end is brought about.
 */
int upload_finish(struct upload *u, struct err *e) MUST_CHECK;

/* ---- lease.c ---- */

/* Locked. Draw a token and have `holder` name it: whoever holds the upload is to let go. */
int lease_claim(struct upload *u, struct err *e) MUST_CHECK;
/* Locked, so that the sweep's look is not in the way. PQC_EAGAIN: another still holds it. */
int lease_take(struct upload *u, struct err *e) MUST_CHECK;
/* Nothing is to be written through u after this. */
void lease_end(struct upload *u);
/* PQC_ETEMP when `holder` names another by now, or was taken away. */
int lease_named(const struct upload *u, struct err *e) MUST_CHECK;
/* The same, also when it was never held. */
int lease_check(const struct upload *u, struct err *e) MUST_CHECK;
/* Locked. Does anybody hold the upload in this directory? 0: nobody; PQC_EAGAIN. */
int lease_look(int dir, struct err *e) MUST_CHECK;
/* What is complete has no holder. */
void lease_remove(int dir);

#endif
