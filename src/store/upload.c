/*
 * Uploads. The order of what becomes durable, so that a crash at any point leaves
 * a state that is understood:
 *
 *   begin   the ledger's entry (usage.c); then the directory with body, leaves and
 *           head; then info: a directory without info is no upload.
 *   record  body, then the slots in leaves: a valid slot means a durable part.
 *   commit  body at its length, the ledger, manifest, info with size and time; then
 *           receipt: the object is complete; then the name's entry: the object is
 *           there; then the object it replaces is dropped (names.c), and with each
 *           object that is dropped, after it, its entry in the ledger.
 *
 * Parts, manifest and info are written by whoever has the lease (lease.c); what makes
 * others see a change, the receipt and all after it, is written under the store's lock.
 *
 * An object with a receipt whose name means something else was either replaced
 * (the name's entry tells it as `previous`) or its commit stopped before the
 * name: resuming enters it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "store/upload_impl.h"

struct upload *upload_alloc(struct store *s)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->s = s;
	u->dir = u->body = u->leaves = u->direct = -1;
	buf_init(&u->head, HEAD_MAX);
	buf_init(&u->manifest, STORE_MANIFEST_MAX);
	buf_init(&u->receipt, STORE_MANIFEST_MAX);
	return u;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void upload_free(struct upload *u)
{
	if (u == NULL)
		return;
	lease_end(u);
	close_if_open(u->dir);
	close_if_open(u->body);
	close_if_open(u->leaves);
	close_if_open(u->direct);
	buf_free(&u->head);
	buf_free(&u->manifest);
	buf_free(&u->receipt);
	free(u);
}

int upload_write_info(const struct upload *u, struct err *e)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	int rc = record_encode(&u->r, &b);

	if (rc != 0)
		err_set(e, rc, "no memory for an object's info");
	else
		rc = file_replace(u->dir, "info", b.p, b.len, 0600, e);
	buf_free(&b);
	return rc;
}

/* ---- resuming ---- */

static int open_parts(struct upload *u, struct err *e)
{
	int rc;

	if ((rc = dir_file(u->dir, "body", O_RDWR, &u->body, e)) != 0 ||
	    (rc = dir_file(u->dir, "leaves", O_RDWR, &u->leaves, e)) != 0)
		return rc;
	/* Touched: the sweep leaves it alone. */
	return futimens(u->leaves, NULL) == 0 ? 0 : err_sys(e, errno, "leaves");
}

struct claim {
	const uint8_t *owner, *raw;
	const char *name;
};

/*
 * Locked, so that the sweep does not remove it halfway. PQC_ENOTFOUND: there is no such upload;
 * whoever has no right to it leaves no trace on it. PQC_EAGAIN: claimed, and still another's.
 */
static int take_up(struct upload *u, const struct claim *c, struct err *e)
{
	struct pqx_header h;
	int rc;

	if ((rc = pqx_header_decode(c->raw, &h)) != 0)
		return PQC_ENOTFOUND;
	if ((rc = object_dir(u->s, h.file_id, &u->dir, e)) != 0 ||
	    (rc = object_read_info(u->dir, &u->r, e)) != 0)
		return rc;
	if (memcmp(u->r.info.owner, c->owner, ID_LEN) != 0 || strcmp(u->r.info.name, c->name) != 0)
		return PQC_ENOTFOUND;
	if ((rc = object_read_head(u->dir, h.file_id, &u->head, &u->h, e)) != 0)
		return rc;
	if (memcmp(u->h.raw, c->raw, PQX_HEADER_LEN) != 0)
		return PQC_ENOTFOUND;
	if ((rc = open_parts(u, e)) != 0)
		return rc;
	rc = dir_has(u->dir, "receipt", e);
	if (rc == 0)
		return upload_finish(u, e);
	if (rc != PQC_ENOTFOUND || (rc = lease_claim(u, e)) != 0)
		return rc;
	return lease_take(u, e);
}

int upload_settle(struct upload *u, struct err *e)
{
	/* Slots of a process that died before it had synced them are seen, and not yet durable. */
	if (u->committed || fdatasync(u->leaves) == 0)
		return 0;
	return upload_lost(u, errno, "leaves", e);
}

int upload_resume(struct store *s, const uint8_t owner[ID_LEN], const char *name,
		  const uint8_t header_raw[PQX_HEADER_LEN], struct upload **out, struct err *e)
{
	const struct claim claim = {owner, header_raw, name};
	struct upload *u = upload_alloc(s);
	int rc;

	if (u == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for an upload");
	if ((rc = store_lock(s, e)) == 0) {
		rc = take_up(u, &claim, e);
		store_unlock(s);
	}
	if (rc == 0)
		rc = upload_settle(u, e);
	if (rc == 0 || (rc == PQC_EAGAIN && u->claimed)) {
		*out = u;
		return rc;
	}
	upload_free(u);
	return rc == PQC_ENOTFOUND ? err_set(e, rc, "no such upload") : rc;
}

/*
 * Over NFS only writes through the descriptor that has the lock are refused when the lock is
 * lost, and `direct` is another: there all parts go through body.
 */
static bool over_nfs(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && st.f_type == NFS_SUPER_MAGIC;
}

void upload_use_direct(struct upload *u)
{
	const int flags = O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC;

	if (u->direct < 0 && !over_nfs(u->body))
		u->direct = openat(u->dir, "body", flags); /* -1: all writes are buffered */
}

bool upload_committed(const struct upload *u)
{
	return u->committed;
}

const struct pqx_header *upload_header(const struct upload *u)
{
	return &u->h;
}

struct span upload_keyblock(const struct upload *u)
{
	return (struct span){u->head.p + PQX_HEADER_LEN, u->head.len - PQX_HEADER_LEN};
}

struct span upload_manifest(const struct upload *u)
{
	return (struct span){u->manifest.p, u->manifest.len};
}

struct span upload_receipt(const struct upload *u)
{
	return (struct span){u->receipt.p, u->receipt.len};
}
