/* What the files of the store share. "Locked" functions are called between store_lock and store_unlock. */
#ifndef PQC_STORE_STORE_IMPL_H
#define PQC_STORE_STORE_IMPL_H

#include <pthread.h>

#include "container/tree.h"
#include "store/store.h"

#define FILE_ID_LEN 32
#define HEX_ID	    (2 * FILE_ID_LEN + 1) /* an id as the name of a file */
#define HEAD_MAX    PQX_BODY_OFFSET
#define RECORD_MAX  16384

/* The receipt log (rlog.c). */
struct rlog {
	pthread_mutex_t lock;
	int fd;	       /* -1: not open yet */
	struct tree t; /* over the entries seen so far */
};

struct store {
	int root, objects, names, trash, usage; /* directories */
	int lock_fd;
	pthread_mutex_t lock; /* among this process's threads; lock_fd's flock among processes */
	struct rlog log;
};

/* ---- store.c ---- */

/*
 * Exclusive over the name index and the beginnings and ends of objects' lives, among all
 * threads of all processes. A process that dies holding it leaves it free. An error of
 * store_lock: nothing is held, and nothing must be done.
 */
int store_lock(struct store *s, struct err *e) MUST_CHECK;
void store_unlock(struct store *s);

/* ---- dir.c: files and directories, never through a symbolic link ---- */

int dir_open(int parent, const char *name, int *fd, struct err *e) MUST_CHECK;
/*
 * What parent holds is asked for anew. A network file system answers from memory for a while,
 * also that something is not there; opening a directory makes it ask (close-to-open). For
 * directories that stay open: one opened just now is fresh.
 */
int dir_fresh(int parent, struct err *e) MUST_CHECK;
/* mkdir 0700 and fsync of parent; one that is there is fine. */
int dir_make(int parent, const char *name, struct err *e) MUST_CHECK;
/* The directory of this name in parent. */
int dir_sub(int parent, const char *name, bool create, int *fd, struct err *e) MUST_CHECK;
/* The directory of ids that begin as this one does: parent/<2 hex>. */
int dir_shard(int parent, const uint8_t *id, bool create, int *fd, struct err *e) MUST_CHECK;
/* Open a regular file; created with mode 0600. */
int dir_file(int dir, const char *name, int flags, int *fd, struct err *e) MUST_CHECK;
/*
 * flock(LOCK_EX) on an open file, over NFS one open for writing. PQC_EAGAIN without `wait` when
 * another open file description has it. It ends with the description, so with its process.
 */
int dir_lock(int fd, bool wait, struct err *e) MUST_CHECK;
/* Append the whole file to b. */
int dir_read(int dir, const char *name, struct buf *b, struct err *e) MUST_CHECK;
/* Write a file that nobody looks at before a later one stands: durable but for its directory entry. */
int dir_write(int dir, const char *name, const struct span *content, struct err *e) MUST_CHECK;
/* Is the entry there? 0, PQC_ENOTFOUND, or why that cannot be told. */
int dir_has(int dir, const char *name, struct err *e) MUST_CHECK;
/* Each entry but "." and "..". Nonzero from each stops and is returned. */
int dir_each(int dir, int (*each)(void *arg, int dir, const char *name), void *arg,
	     struct err *e) MUST_CHECK;
/* Which shards parent has. */
int dir_shards(int parent, bool present[256], struct err *e) MUST_CHECK;
bool dir_is_id(const char *name);
/* The entries that are ids and come after `after` ("": all), sorted, HEX_ID bytes each. */
int dir_ids(int dir, const char *after, struct buf *out, struct err *e) MUST_CHECK;
/* Remove a file, or a directory of files. One that is not there is fine. */
int dir_remove(int parent, const char *name, struct err *e) MUST_CHECK;

/* ---- record.c: JSON of a name's entry and of an object's info ---- */

struct record {
	struct object_info info;       /* of an upload: size 0, time when it began */
	bool replaced;		       /* previous is set */
	uint8_t previous[FILE_ID_LEN]; /* the object that the name meant before */
};

int record_encode(const struct record *r, struct buf *b) MUST_CHECK;
/* PQC_EINTEGRITY for everything that record_encode does not write. */
int record_decode(const struct buf *b, struct record *r, struct err *e) MUST_CHECK;

/* ---- names.c: the index. All locked ---- */

/* The entry of this name. PQC_ENOTFOUND: none. The object it means may be gone. */
int names_read(struct store *s, const char *name, struct record *r, struct err *e) MUST_CHECK;
/* The same by the entry's key, SHA-512(name)[0..32). */
int names_read_key(struct store *s, const uint8_t key[32], struct record *r,
		   struct err *e) MUST_CHECK;
/* PQC_EREFUSED when the name means an object of another owner. */
int names_check_owner(struct store *s, const char *name, const uint8_t owner[ID_LEN],
		      struct err *e) MUST_CHECK;
/* Make the name of r mean r's object and drop the one it meant before. */
int names_enter(struct store *s, struct record *r, struct err *e) MUST_CHECK;
/* Remove the entry; before that finish what r->previous says is to be done. */
int names_remove(struct store *s, const struct record *r, struct err *e) MUST_CHECK;
/* Drop the object that r's object replaced, should a crash have left it. */
int names_finish(struct store *s, const struct record *r, struct err *e) MUST_CHECK;

/* ---- object.c: an object's directory ---- */

int object_dir(struct store *s, const uint8_t *file_id, int *fd, struct err *e) MUST_CHECK;
/* 0, PQC_ENOTFOUND, or why that cannot be told. */
int object_exists(struct store *s, const uint8_t *file_id, struct err *e) MUST_CHECK;
/*
 * Locked. End of the object, durable: it is in the trash, or was not there. Its entry in the
 * ledger follows, when the owner is known (else NULL: the sweep does it).
 */
int object_drop(struct store *s, const uint8_t *owner, const uint8_t *file_id,
		struct err *e) MUST_CHECK;
/* Read head into b and decode the header, which must have this file_id. */
int object_read_head(int dir, const uint8_t *file_id, struct buf *b, struct pqx_header *h,
		     struct err *e) MUST_CHECK;
int object_read_info(int dir, struct record *r, struct err *e) MUST_CHECK;
/*
 * Remove what is in the trash, counting it. Not locked: it can take long. What
 * fails is for the next time.
 */
void trash_empty(struct store *s, unsigned *removed);

/* ---- usage.c: the ledger of bytes. An object's entry is there before it and goes after it ---- */

/* Keep all that have a quota of this owner to themselves: the sum stands until usage_unlock. */
int usage_lock(struct store *s, const uint8_t *owner, int *fd, struct err *e) MUST_CHECK;
void usage_unlock(int fd); /* -1: fine */
/* Sum of the owner's entries, that of `but` (NULL: none) left out. */
int usage_sum(struct store *s, const uint8_t *owner, const uint8_t *but, uint64_t *bytes,
	      uint64_t *objects, struct err *e) MUST_CHECK;
/* Would `need` more bytes than `used` go past the quota? Then PQC_EQUOTA, in words. */
int usage_check(uint64_t used, uint64_t need, uint64_t quota, struct err *e) MUST_CHECK;
int usage_get(struct store *s, const uint8_t *owner, const uint8_t *file_id, uint64_t *bytes,
	      struct err *e) MUST_CHECK;
/* Enter or change; not durable yet. PQC_EQUOTA: no file of that length can be. */
int usage_set(struct store *s, const uint8_t *owner, const uint8_t *file_id, uint64_t bytes,
	      struct err *e) MUST_CHECK;
/* Make the entry durable. */
int usage_sync(struct store *s, const uint8_t *owner, const uint8_t *file_id,
	       struct err *e) MUST_CHECK;
/* What fails is for the sweep. */
void usage_remove(struct store *s, const uint8_t *owner, const uint8_t *file_id);

/* ---- rlog.c ---- */

int rlog_init(struct rlog *l) MUST_CHECK;
void rlog_end(struct rlog *l);

#endif
