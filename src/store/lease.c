/*
 * The lease of an upload: who may write its parts.
 *
 * It is held by flock(2) on the descriptors that body and leaves are written through, for as
 * long as the struct upload lives. So it ends with its process, however that dies; and where the
 * lock is lost while the process lives, as over NFS when its host is cut off for too long, the
 * kernel lets no write through these descriptors any more.
 *
 * Nobody can take a lock from another process. A newer connection asks for it: it writes a
 * random token to the file `holder`. Whoever holds the upload looks there from time to time, and
 * when it finds a token that is not its own it ends its writes and lets go. Of several that
 * claim, the last to have written its token gets the lease; the others find that out the same
 * way. Tokens are written under the store's lock, in place, and need not outlive a crash: they
 * mean something to processes only. A token written half is nobody's.
 *
 * The lock is the lease, the token only a request: a stale token costs a holder its
 * connection, never a part.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/secmem.h"
#include "store/upload_impl.h"

#define HOLDER "holder"

static int superseded(struct err *e)
{
	return err_set(e, PQC_ETEMP, "superseded by a newer connection");
}

int lease_claim(struct upload *u, struct err *e)
{
	int fd, rc;

	if ((rc = random_bytes(u->token, TOKEN_LEN)) != 0)
		return err_set(e, rc, "no randomness");
	if ((rc = dir_file(u->dir, HOLDER, O_WRONLY | O_CREAT, &fd, e)) != 0)
		return rc;
	rc = file_pwrite(fd, u->token, TOKEN_LEN, 0, e);
	/* Closing is what makes it seen on other hosts. */
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(e, errno, "close");
	if (rc != 0)
		return err_prefix(e, HOLDER), rc;
	u->claimed = true;
	return 0;
}

static int held(struct err *e, int code)
{
	return err_set(e, code, "another connection holds this upload");
}

int lease_take(struct upload *u, struct err *e)
{
	int rc;

	if ((rc = dir_lock(u->body, false, e)) != 0)
		return rc == PQC_EAGAIN ? held(e, rc) : rc;
	if ((rc = dir_lock(u->leaves, false, e)) != 0) {
		flock(u->body, LOCK_UN);
		return rc == PQC_EAGAIN ? held(e, rc) : rc;
	}
	u->leased = true;
	return 0;
}

void lease_end(struct upload *u)
{
	if (!u->leased)
		return;
	/* Not left to close(2): a process just forked off may have the descriptors too. */
	flock(u->leaves, LOCK_UN);
	flock(u->body, LOCK_UN);
	u->leased = false;
}

/* Does `holder` say our token? Opened anew each time: that is what asks a file server. */
static int look_at_holder(const struct upload *u, bool *ours, struct err *e)
{
	uint8_t now[TOKEN_LEN];
	int fd, rc;

	*ours = false;
	if ((rc = dir_file(u->dir, HOLDER, O_RDONLY, &fd, e)) != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = file_pread(fd, now, TOKEN_LEN, 0, e);
	close(fd);
	if (rc == 0)
		*ours = memcmp(now, u->token, TOKEN_LEN) == 0;
	return rc == PQC_EINTEGRITY ? 0 : rc; /* shorter: nobody's */
}

int lease_named(const struct upload *u, struct err *e)
{
	bool ours;
	int rc = look_at_holder(u, &ours, e);

	return rc == 0 && !ours ? superseded(e) : rc;
}

int lease_check(const struct upload *u, struct err *e)
{
	if (!u->leased)
		return held(e, PQC_ETEMP);
	return lease_named(u, e);
}

int lease_look(int dir, struct err *e)
{
	int fd, rc = dir_file(dir, "body", O_RDWR, &fd, e);

	if (rc != 0)
		return rc == PQC_ENOTFOUND ? 0 : rc;
	rc = dir_lock(fd, false, e);
	close(fd);
	return rc;
}

void lease_remove(int dir)
{
	int rc = unlinkat(dir, HOLDER, 0);

	(void)rc; /* what stays is for the sweep */
}

int upload_lease_wanted(const struct upload *u)
{
	bool ours;

	if (u->committed)
		return 0;
	/* Only a sure answer counts: it is the lock that keeps others away. */
	if (look_at_holder(u, &ours, NULL) != 0)
		return 0;
	/* Meanwhile the commit may have taken the token away. */
	return ours || u->committed ? 0 : PQC_ETEMP;
}

static int take_locked(struct upload *u, struct err *e)
{
	int rc;

	if ((rc = upload_still_there(u, e)) != 0)
		return rc;
	rc = dir_has(u->dir, "receipt", e);
	if (rc == 0)
		return upload_finish(u, e);
	if (rc != PQC_ENOTFOUND || (rc = lease_named(u, e)) != 0)
		return rc;
	return lease_take(u, e);
}

int upload_take(struct upload *u, struct err *e)
{
	int rc;

	if (u->committed || u->leased)
		return 0;
	if ((rc = store_lock(u->s, e)) != 0)
		return rc;
	rc = take_locked(u, e);
	store_unlock(u->s);
	return rc == 0 ? upload_settle(u, e) : rc;
}
