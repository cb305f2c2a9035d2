/*
 * The object store in a directory. Objects are containers; names are an index
 * beside them, and no name a client chose ever becomes a path.
 *
 *   objects/<2 hex>/<file_id hex>/  info head body leaves [manifest receipt]
 *   names/<2 hex>/<SHA-512(name)[0..32) hex>   JSON: name, file_id, owner, size, time, previous
 *   trash/                          what is being deleted
 *   receipts-<suite>.log            entry hashes of every receipt issued, suite->hash_len bytes each
 *   lock                            flock(2): one server at a time
 *
 * What each call promises survives kill -9 and a power cut at any point; the
 * order of writes is in upload.c. Calls may block on the disk. A store may be used from
 * several threads; one upload's calls come from one thread at a time.
 */
#ifndef PQC_STORE_STORE_H
#define PQC_STORE_STORE_H

#include "base/buf.h"
#include "container/header.h"
#include "container/keyblock.h"

#define NAME_MAX_LEN	   4096
#define STORE_MANIFEST_MAX 8192

struct store;

/* Create the layout where missing and take the lock. PQC_ECONFIG when another server holds it. */
int store_open(struct store **out, const char *dir, struct err *e) MUST_CHECK;
void store_close(struct store *s);
/* Bytes free to unprivileged writers, and in total, on the store's file system. */
int store_space(const struct store *s, uint64_t *free_bytes, uint64_t *total_bytes) MUST_CHECK;

/* What a name means. */
struct object_info {
	char name[NAME_MAX_LEN + 1];
	uint8_t file_id[32];
	uint8_t owner[ID_LEN];
	uint64_t size, time; /* plaintext bytes; when committed, unix seconds */
};

/* ---- uploads ---- */

struct upload;

struct upload_new {
	const char *name;
	const uint8_t *owner; /* ID_LEN */
	const struct pqx_header *header;
	const void *keyblock; /* encoded */
	size_t keyblock_len;
	uint64_t now;
	bool direct; /* open the body with O_DIRECT for whole parts where the file system can */
};
/*
 * A new upload: directory, info and head are durable when this returns; space
 * for the body is reserved when its size is known (PQC_EQUOTA when it is not
 * there). PQC_EEXIST: the file_id is taken. PQC_EREFUSED: the name belongs to another owner.
 */
int upload_begin(struct store *s, const struct upload_new *o, struct upload **out,
		 struct err *e) MUST_CHECK;
/*
 * Take up an upload again. PQC_ENOTFOUND also when it is another owner's, or
 * under another name or header (raw differs). A finished one is opened too:
 * upload_committed() then. One whose manifest and receipt are there but whose
 * name entry is not gets its name entered now.
 */
int upload_resume(struct store *s, const uint8_t owner[ID_LEN], const char *name,
		  const uint8_t header_raw[PQX_HEADER_LEN], struct upload **out,
		  struct err *e) MUST_CHECK;
void upload_free(struct upload *u); /* keeps what is on disk */
bool upload_committed(const struct upload *u);
const struct pqx_header *upload_header(const struct upload *u);
/* As upload_new.direct, for an upload that was taken up again. */
void upload_use_direct(struct upload *u);
/* Head's key block, encoded; borrowed. */
struct span upload_keyblock(const struct upload *u);
/*
 * Manifest and receipt of a committed upload, as they are on disk: when an earlier commit had
 * stopped before the name, those of that one, not what upload_commit was given. Borrowed.
 */
struct span upload_manifest(const struct upload *u);
struct span upload_receipt(const struct upload *u);
/*
 * Parts whose leaves are recorded (so durable), as ascending ranges through a callback; nonzero
 * from it stops and is returned.
 */
int upload_held(struct upload *u, int (*range)(void *arg, uint64_t first, uint64_t count),
		void *arg) MUST_CHECK;
/*
 * Write part i's n bytes; not durable yet. Thread-safe for different parts.
 * With direct I/O p must be 4096-aligned for whole parts.
 */
int upload_write(struct upload *u, uint64_t i, const void *p, size_t n, struct err *e) MUST_CHECK;
/*
 * Make parts durable: fdatasync(body), record their leaves, fdatasync(leaves).
 * Part numbers part[count] with leaves at leaf + k * hash_len. When writing back fails, so does
 * every later write, record and commit of this struct upload (PQC_EIO): resume to go on.
 */
int upload_record(struct upload *u, const uint64_t *part, const uint8_t *leaf, size_t count,
		  struct err *e) MUST_CHECK;
/* The recorded leaf of part i; PQC_ENOTFOUND. */
int upload_leaf(struct upload *u, uint64_t i, uint8_t *leaf) MUST_CHECK;
/* Root over the recorded leaves 0..n-1; PQC_ENOTFOUND when one is missing. */
int upload_root(struct upload *u, uint64_t n, uint8_t *root) MUST_CHECK;
/*
 * Commit: cut the body to its length, make manifest and receipt durable, enter the name, make that durable,
 * then drop what the name meant before. Idempotent. PQC_EREFUSED: the name belongs to another owner by now.
 * PQC_ENOTFOUND: it was removed, or replaced by a newer one, meanwhile.
 */
int upload_commit(struct upload *u, const struct span *manifest, const struct span *receipt,
		  uint64_t size, uint64_t now, struct err *e) MUST_CHECK;
/* Give up: remove it from the disk. */
int upload_abandon(struct upload *u, struct err *e) MUST_CHECK;

/* ---- reading ---- */

struct object; /* an open, committed object: readable until freed even when replaced or deleted meanwhile */

int object_open(struct store *s, const char *name, struct object **out, struct err *e) MUST_CHECK;
void object_free(struct object *o);
const struct object_info *object_info(const struct object *o);
const struct pqx_header *object_header(const struct object *o);
struct span object_keyblock(const struct object *o);
struct span object_manifest(const struct object *o);
struct span object_receipt(const struct object *o);
int object_body_fd(const struct object *o); /* borrowed */
uint64_t object_body_len(const struct object *o);

/* Remove name, which must be owner's (PQC_ENOTFOUND otherwise alike). */
int store_delete(struct store *s, const char *name, const uint8_t owner[ID_LEN],
		 struct err *e) MUST_CHECK;
/*
 * Names after `cursor` (empty: from the start) in the index's own order, to
 * each(): nonzero from each stops, and that name comes again with the cursor
 * written then. *more tells whether there is anything after. cursor: 65 bytes.
 */
int store_list(struct store *s, char cursor[65],
	       int (*each)(void *arg, const struct object_info *info), void *arg, bool *more,
	       struct err *e) MUST_CHECK;
/*
 * Remove the bytes of what was replaced, deleted or abandoned: those calls only
 * put objects aside, because removing a large file takes long. What fails is for the next time.
 */
void store_empty_trash(struct store *s);
/* Remove uploads not committed and untouched since `before`, dangling names, and trash. Counts what went. */
int store_sweep(struct store *s, uint64_t before, unsigned *removed, struct err *e) MUST_CHECK;

/* ---- receipts ---- */

/*
 * Append to the receipt log the entry H(00 | u64 index | core) and give its
 * index and the root with it (docs/container.md, "Receipt"). Durable on return.
 */
int store_log_append(struct store *s, const struct suite *suite, const uint8_t core[SHA512_LEN],
		     uint64_t *index, uint8_t *root, struct err *e) MUST_CHECK;

#endif
