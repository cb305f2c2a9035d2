/*
 * The object store in a directory. Objects are containers; names are an index
 * beside them, and no name a client chose ever becomes a path.
 *
 *   objects/<2 hex>/<file_id hex>/  info head body leaves [holder] [manifest receipt]
 *   names/<2 hex>/<SHA-512(name)[0..32) hex>   JSON: name, file_id, owner, size, time, previous
 *   usage/<owner hex>/<file_id hex>  empty, as long as the bytes that are reserved for the object
 *   trash/                          what is being deleted
 *   receipts-<suite>.log            entry hashes of every receipt issued, suite->hash_len bytes each
 *   lock                            flock(2), briefly: the name index, beginnings and ends of objects
 *   sweep                           flock(2): one sweep at a time
 *
 * What each call promises survives kill -9 and a power cut at any point; the
 * order of writes is in upload.c. Calls may block on the disk, and on the lock of another. A
 * store may be used from several threads; one upload's calls come from one thread at a time.
 *
 * Several processes may have the directory open at once, each by its own store_open, on one host
 * or on several. Processes that share an open store by fork(2) do not exclude each other. What
 * must be exclusive is so by flock(2), which the kernel ends with its process: nothing is left to
 * be cleared away. Among hosts that needs a file system whose flock(2) works across them, and on
 * which what is closed here is seen by who opens it there: NFSv4 (best 4.1 or later; never with
 * `nolock`, `local_lock` or `nocto`), not NFSv3 without its lock manager. The clocks of the hosts
 * should agree to well within the age at which uploads are swept. What stays weaker than on one
 * host: a host that is cut off for longer than the file server's lease (NFSv4: 90 s) between two
 * writes of one commit may, when it is back, still enter the name, as if it had been the later
 * one; and an object that another host deletes while it is read may end in a read error.
 */
#ifndef PQC_STORE_STORE_H
#define PQC_STORE_STORE_H

#include "base/buf.h"
#include "container/header.h"
#include "container/keyblock.h"

#define NAME_MAX_LEN	   4096
#define STORE_MANIFEST_MAX 8192

struct store;

/* Create the layout where missing. */
int store_open(struct store **out, const char *dir, struct err *e) MUST_CHECK;
void store_close(struct store *s);
/* Bytes free to unprivileged writers, and in total, on the store's file system. */
int store_space(const struct store *s, uint64_t *free_bytes, uint64_t *total_bytes) MUST_CHECK;

/*
 * Write a small file, make it durable, remove it: PQC_EQUOTA, PQC_EIO or whatever is the matter
 * else. *offset_seconds: how far the file system's clock is ahead of ours.
 */
int store_probe(struct store *s, int64_t *offset_seconds, struct err *e) MUST_CHECK;
/*
 * What an owner (NULL: all) takes: objects and uploads, and their bytes, reserved ones included.
 * One look at each object. Objects older than the ledger count after the first sweep.
 */
int store_usage(struct store *s, const uint8_t *owner, uint64_t *bytes, uint64_t *objects,
		struct err *e) MUST_CHECK;

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
	uint64_t
		quota; /* bytes all of the owner's objects and uploads may take; UINT64_MAX: no limit */
	bool direct; /* open the body with O_DIRECT for whole parts where the file system can */
};
/*
 * A new upload, with its lease: directory, info, head and the ledger's entry are durable when
 * this returns; space for the body is reserved when its size is known. PQC_EQUOTA, in words: it
 * is not there, or the quota would be exceeded, which concurrent begins of all processes keep to.
 * PQC_EEXIST: the file_id is taken. PQC_EAGAIN: another connection is just beginning this upload.
 * PQC_EREFUSED: the name belongs to another owner.
 */
int upload_begin(struct store *s, const struct upload_new *o, struct upload **out,
		 struct err *e) MUST_CHECK;
/*
 * Take up an upload again. PQC_ENOTFOUND also when it is another owner's, or
 * under another name or header (raw differs). A finished one is opened too:
 * upload_committed() then. One whose manifest and receipt are there but whose
 * name entry is not gets its name entered now.
 *
 * One struct upload at a time, among all processes, has the lease of an upload: only it writes,
 * records, commits and abandons. PQC_EAGAIN with *out set: the upload is another's, who has been
 * asked to let go (upload_lease_wanted): call upload_take until it answers something else. The
 * upload must not be used for anything else until then.
 */
int upload_resume(struct store *s, const uint8_t owner[ID_LEN], const char *name,
		  const uint8_t header_raw[PQX_HEADER_LEN], struct upload **out,
		  struct err *e) MUST_CHECK;
/*
 * Is the lease ours by now? 0: yes, and only now is what upload_held tells the truth; or the
 * upload was committed meanwhile (upload_committed). PQC_EAGAIN: not yet. PQC_ETEMP: superseded
 * by a newer connection. PQC_ENOTFOUND: the upload was removed.
 */
int upload_take(struct upload *u, struct err *e) MUST_CHECK;
/*
 * To be asked several times a second by whoever holds an upload: 0: go on. PQC_ETEMP: a newer
 * connection wants it, so end all writes and call upload_free; records and commits are refused
 * from now on.
 */
int upload_lease_wanted(const struct upload *u) MUST_CHECK;
/* Keeps what is on disk. The lease ends: all writes must be done. */
void upload_free(struct upload *u);
bool upload_committed(const struct upload *u);
const struct pqx_header *upload_header(const struct upload *u);
/*
 * For a stream, before more is recorded than was reserved: reserve up to upto bytes of body,
 * in steps of some MiB where the quota allows. PQC_EQUOTA, in words. A commit sets the true length.
 */
int upload_grow(struct upload *u, uint64_t upto, uint64_t quota, struct err *e) MUST_CHECK;
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
 * PQC_ETEMP: a newer connection claims the upload.
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
 * PQC_ENOTFOUND: it was removed, or replaced by a newer one, meanwhile. PQC_ETEMP: a newer
 * connection claims it.
 */
int upload_commit(struct upload *u, const struct span *manifest, const struct span *receipt,
		  uint64_t size, uint64_t now, struct err *e) MUST_CHECK;
/* Give up: remove it from the disk. PQC_ETEMP: a newer connection claims it. */
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
/*
 * Remove uploads not committed, untouched since `before` and held by nobody, dangling names, and
 * trash, counting what went; put the ledger right. One process at a time: nothing is done, and
 * nothing counted, while another sweeps.
 */
int store_sweep(struct store *s, uint64_t before, unsigned *removed, struct err *e) MUST_CHECK;

/* ---- receipts ---- */

/*
 * Append to the receipt log the entry H(00 | u64 index | core) and give its
 * index and the root with it (docs/container.md, "Receipt"). Durable on return.
 */
int store_log_append(struct store *s, const struct suite *suite, const uint8_t core[SHA512_LEN],
		     uint64_t *index, uint8_t *root, struct err *e) MUST_CHECK;

#endif
