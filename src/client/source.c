#include "client/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "container/header.h"
#include "crypto/kdf.h"
#include "crypto/secmem.h"

#define CANCEL_MS 200 /* how soon a cancellation is noticed */

struct kept {
	uint8_t *p; /* allocated when first needed */
	size_t n;
};

struct psource {
	int fd;
	bool own, stream;
	const char *path;
	size_t part;
	const atomic_bool *cancel;
	struct stat st;
	uint8_t fingerprint[32];
	/* a stream only */
	struct kept kept[SOURCE_KEEP];
	uint64_t next, released; /* first part not read yet; first not released */
	bool eof, have_ahead;
	uint8_t ahead; /* one byte past the last part read */
};

static int fingerprint(struct psource *s)
{
	struct buf b = BUF_INIT(128);
	uint8_t h[SHA512_LEN];
	struct span in;
	int r;

	if (s->stream)
		return random_bytes(s->fingerprint, sizeof(s->fingerprint));
	buf_put_u64(&b, s->st.st_dev);
	buf_put_u64(&b, s->st.st_ino);
	buf_put_u64(&b, (uint64_t)s->st.st_size);
	buf_put_u64(&b, (uint64_t)s->st.st_mtim.tv_sec);
	buf_put_u64(&b, (uint64_t)s->st.st_mtim.tv_nsec);
	buf_put_u64(&b, (uint64_t)s->st.st_ctim.tv_sec);
	buf_put_u64(&b, (uint64_t)s->st.st_ctim.tv_nsec);
	in = (struct span){b.p, b.len};
	if ((r = buf_error(&b)) == 0 && (r = sha512(&in, 1, h)) == 0)
		memcpy(s->fingerprint, h, sizeof(s->fingerprint));
	buf_free(&b);
	return r;
}

int psource_open(struct psource **out, const struct put_opts *from, size_t part,
		 const atomic_bool *cancel, struct err *e)
{
	struct psource *s = calloc(1, sizeof(*s));
	const char *path = from->path;
	int r = 0;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->path = path;
	s->part = part;
	s->cancel = cancel;
	s->own = path != NULL;
	s->fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : from->fd;
	if (s->fd < 0) {
		r = errno == ENOENT ? err_set(e, PQC_ENOTFOUND, "%s: no such file", path)
				    : err_sys(e, errno, "%s", path);
		goto out;
	}
	if (fstat(s->fd, &s->st) != 0) {
		r = err_sys(e, errno, "%s", path != NULL ? path : "standard input");
		goto out;
	}
	if (S_ISDIR(s->st.st_mode)) {
		r = err_set(e, PQC_EUSAGE, "%s is a directory",
			    path != NULL ? path : "standard input");
		goto out;
	}
	s->stream = path == NULL || !S_ISREG(s->st.st_mode);
	if (!s->stream)
		posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if ((r = fingerprint(s)) != 0)
		err_set(e, r, "cannot fingerprint the source");
out:
	if (r != 0)
		psource_free(s);
	else
		*out = s;
	return r;
}

void psource_free(struct psource *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < SOURCE_KEEP; i++) {
		if (s->kept[i].p != NULL)
			secret_wipe(s->kept[i].p, s->part);
		free(s->kept[i].p);
	}
	if (s->own && s->fd >= 0)
		close(s->fd);
	free(s);
}

uint64_t psource_size(const struct psource *s)
{
	return s->stream ? PQX_SIZE_UNKNOWN : (uint64_t)s->st.st_size;
}

const uint8_t *psource_fingerprint(const struct psource *s)
{
	return s->fingerprint;
}

static int changed(const struct psource *s, struct err *e)
{
	return err_set(e, PQC_ECHANGED,
		       "%s changed while it was read; nothing was stored under its name. Send it "
		       "again when it "
		       "is quiet",
		       s->path);
}

static int read_file(struct psource *s, uint64_t i, uint8_t *out, size_t *n, bool *final,
		     struct err *e)
{
	uint64_t size = (uint64_t)s->st.st_size, off = i * s->part;
	int r;

	*n = size - off < s->part ? (size_t)(size - off) : s->part;
	*final = off + *n == size;
	r = file_pread(s->fd, out, *n, off, e);
	return r == PQC_EINTEGRITY ? changed(s, e) : r;
}

/* Up to n bytes of the stream, less only at its end. */
static int read_waiting(struct psource *s, uint8_t *p, size_t n, size_t *got, struct err *e)
{
	struct pollfd w = {.fd = s->fd, .events = POLLIN};
	ssize_t k = 1;

	for (*got = 0; *got < n && k != 0; *got += (size_t)(k > 0 ? k : 0)) {
		if (s->cancel != NULL && atomic_load(s->cancel))
			return err_set(e, PQC_EINTERRUPTED, "interrupted");
		if (poll(&w, 1, CANCEL_MS) == 0)
			continue;
		k = read(s->fd, p + *got, n - *got);
		if (k < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, errno, "cannot read the stream");
	}
	return 0;
}

/* Read part s->next of the stream into its place. */
static int read_on(struct psource *s, struct kept *k, struct err *e)
{
	size_t off = 0, got = 0;
	int r;

	if (k->p == NULL && (k->p = malloc(s->part)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if (s->have_ahead)
		k->p[off++] = s->ahead;
	if ((r = read_waiting(s, k->p + off, s->part - off, &got, e)) != 0)
		return r;
	k->n = off + got;
	/* Full parts are the last one only if nothing follows: look one byte ahead. */
	s->eof = k->n < s->part;
	s->have_ahead = false;
	if (!s->eof) {
		if ((r = read_waiting(s, &s->ahead, 1, &got, e)) != 0)
			return r;
		s->have_ahead = got == 1;
		s->eof = got == 0;
	}
	s->next++;
	return 0;
}

static int read_stream(struct psource *s, uint64_t i, uint8_t *out, size_t *n, bool *final,
		       struct err *e)
{
	struct kept *k = &s->kept[i % SOURCE_KEEP];
	int r;

	if (i == s->next && s->eof)
		return PQC_ENOTFOUND;
	if (i < s->released || i > s->next || i >= s->released + SOURCE_KEEP)
		return err_set(e, PQC_EFAIL, "the stream cannot be read back to part %llu",
			       (unsigned long long)i);
	if (i == s->next && (r = read_on(s, k, e)) != 0)
		return r;
	memcpy(out, k->p, k->n);
	*n = k->n;
	*final = s->eof && i + 1 == s->next;
	return 0;
}

int psource_read(struct psource *s, uint64_t i, uint8_t *out, size_t *n, bool *final, struct err *e)
{
	return s->stream ? read_stream(s, i, out, n, final, e) : read_file(s, i, out, n, final, e);
}

void psource_release(struct psource *s, uint64_t i)
{
	if (s->stream && i > s->released)
		s->released = i;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int psource_check(const struct psource *s, struct err *e)
{
	struct stat st;

	if (s->stream)
		return 0;
	if (fstat(s->fd, &st) != 0)
		return err_sys(e, errno, "%s", s->path);
	if (st.st_size != s->st.st_size || !same_time(&st.st_mtim, &s->st.st_mtim) ||
	    !same_time(&st.st_ctim, &s->st.st_ctim))
		return changed(s, e);
	return 0;
}
