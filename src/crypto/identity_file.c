/* Identities in files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "crypto/secmem.h"

/* A key that others can read is not used, as OpenSSH does. */
static int check_access(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, PQC_EREFUSED, "%s: not a regular file", path);
	if (st.st_uid != geteuid())
		return err_set(e, PQC_EREFUSED, "%s: belongs to user %u, not to you (user %u)",
			       path, (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 07177) != 0)
		return err_set(e, PQC_EREFUSED,
			       "%s: mode %04o lets others use this private key; run: chmod 600 %s",
			       path, (unsigned)st.st_mode & 07777, path);
	return 0;
}

static int read_key(const char *path, struct buf *text, struct err *e)
{
	/* Not blocking, so that a FIFO is refused rather than waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint8_t *p;
	size_t got;
	int r;

	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	if ((r = check_access(fd, path, e)) != 0)
		goto out;
	/* One byte more than a key may have, for keyfile_decode to refuse. */
	if ((p = buf_extend(text, KEYFILE_MAX + 1)) == NULL) {
		r = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = file_read(fd, p, KEYFILE_MAX + 1, &got, e)) != 0)
		err_prefix(e, "%s", path);
	else
		text->len = got;
out:
	(void)close(fd);
	return r;
}

int identity_load(const char *path, const char *pass, struct identity **out, struct err *e)
{
	struct buf text = BUF_INIT(KEYFILE_MAX + 1);
	int r;

	if ((r = read_key(path, &text, e)) == 0 &&
	    (r = identity_decode(text.p, text.len, pass, out, e)) != 0)
		err_prefix(e, "%s", path);
	buf_free(&text);
	return r;
}

/* "path.pub" into out. */
static int public_path(const char *path, struct buf *out, struct err *e)
{
	buf_printf(out, "%s.pub", path);
	if (buf_cstr(out) == NULL)
		return err_set(e, buf_error(out), "%s: too long a name", path);
	return 0;
}

int identity_save(const struct identity *id, const char *path, const char *pass,
		  const char *comment, struct err *e)
{
	struct buf text = BUF_INIT(KEYFILE_MAX), line = BUF_INIT(KEYFILE_MAX);
	struct buf pub = BUF_INIT(4096);
	int r;

	if ((r = public_path(path, &pub, e)) != 0 || (r = identity_encode(id, pass, &text, e)) != 0)
		goto out;
	if ((r = public_identity_encode(id, comment, &line)) != 0) {
		err_set(e, r, "%s",
			r == PQC_EUSAGE ? "the comment is longer than 127 bytes or not printable"
					: "the public identity could not be made");
		goto out;
	}
	if ((r = file_create(AT_FDCWD, path, text.p, text.len, 0600, e)) != 0)
		goto out;
	if ((r = file_create(AT_FDCWD, buf_cstr(&pub), line.p, line.len, 0644, e)) != 0)
		(void)unlink(path); /* ours, of a moment ago: half a pair helps nobody */
out:
	buf_free(&pub);
	buf_free(&line);
	buf_free(&text);
	return r;
}

int public_identity_load(const char *path, struct public_identity *out, struct err *e)
{
	struct buf line = BUF_INIT(KEYFILE_MAX);
	int r;

	if ((r = file_slurp(AT_FDCWD, path, &line, e)) == 0 &&
	    (r = public_identity_decode((const char *)line.p, line.len, out, e)) != 0)
		err_prefix(e, "%s", path);
	buf_free(&line);
	return r;
}
