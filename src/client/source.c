#include "client/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/io.h"
#include "client/slow.h"
#include "container/header.h"
#include "crypto/kdf.h"
#include "crypto/secmem.h"

struct kept {
	uint8_t *p; /* allocated when first needed */
	size_t n;
};

struct psource {
	const struct pqc_source *from;
	int fd; /* -1: none */
	bool stream, lasting;
	size_t part;
	const struct call *call;
	struct stat st; /* of fd */
	uint64_t size;	/* PQX_SIZE_UNKNOWN: nobody knows */
	uint8_t fingerprint[32];
	/* a stream only */
	struct kept kept[SOURCE_KEEP];
	uint64_t next;		   /* first part not read yet */
	_Atomic uint64_t released; /* first part not released, which another thread says */
	uint64_t taken;		   /* of a callback: bytes that came */
	bool eof, have_ahead;
	uint8_t ahead; /* one byte past the last part read */
};

const char *psource_name(const struct psource *s)
{
	return s->from->kind == PQC_IO_PATH ? s->from->path : "the source";
}

static int fingerprint_file(struct psource *s)
{
	struct buf b = BUF_INIT(128);
	uint8_t h[SHA512_LEN];
	struct span in;
	int r;

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

/*
 * A journal says: the server holds these parts of this file, and what is sealed with them under
 * one manifest is one file. Were it taken up for other bytes, parts of both would lie under one
 * file's key, and we would sign a mixture that nobody ever had. A file's journal is held to its
 * inode and times. Memory has neither, and an address says nothing, so only the bytes themselves
 * can vouch: all of them, and how many they are, hashed before a part is sealed under a key that
 * an earlier call has used. (A hash of a sample, or of what was sent last time, would not do: a
 * change where nobody looked goes unseen.) BLAKE3 is collision resistant, so that not even bytes made
 * for the purpose pass as others. The caller must not change them during a call; between calls
 * it may, and the next begins a new file with a key of its own.
 *
 * What is not lasting gets randomness, which no journal has.
 *
 * The fingerprint of memory lies in the journal. Who can read that could try guesses of the bytes
 * against it; the state directory is its owner's alone.
 */
static void fingerprint_memory(struct psource *s)
{
	static const char label[] = "pqx1 memory";
	uint8_t size[8];
	const struct span in[] = {
		{label, sizeof(label)}, {size, sizeof(size)}, {s->from->data, (size_t)s->size}};

	be64_put(size, s->size);
	blake3(in, 3, s->fingerprint);
}

static int fingerprint(struct psource *s, struct err *e)
{
	int r = 0;

	if (!s->lasting)
		r = random_bytes(s->fingerprint, sizeof(s->fingerprint));
	else if (s->from->kind == PQC_IO_MEMORY)
		fingerprint_memory(s);
	else
		r = fingerprint_file(s);
	return r == 0 ? 0 : err_set(e, r, "cannot fingerprint the source");
}

/* A descriptor is a stream even where a regular file is behind it: a later call would not know it again. */
static int open_fd(struct psource *s, struct err *e)
{
	const bool path = s->from->kind == PQC_IO_PATH;

	s->fd = path ? open(s->from->path, O_RDONLY | O_CLOEXEC) : s->from->fd;
	if (s->fd < 0)
		return errno == ENOENT
			       ? err_set(e, PQC_ENOTFOUND, "%s: no such file", s->from->path)
			       : err_sys(e, errno, "%s", s->from->path);
	if (fstat(s->fd, &s->st) != 0)
		return err_sys(e, errno, "%s", psource_name(s));
	if (S_ISDIR(s->st.st_mode))
		return err_set(e, PQC_EUSAGE, "%s is a directory", psource_name(s));
	s->stream = !path || !S_ISREG(s->st.st_mode);
	s->lasting = !s->stream;
	if (!s->stream) {
		s->size = (uint64_t)s->st.st_size;
		posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return 0;
}

static int open_any(struct psource *s, const struct put_opts *o, struct err *e)
{
	int r;

	if ((r = from_check(o->from, e)) != 0)
		return r;
	s->from = o->from;
	s->size = PQX_SIZE_UNKNOWN;
	switch (o->from->kind) {
	case PQC_IO_PATH:
	case PQC_IO_FD:
		return open_fd(s, e);
	case PQC_IO_MEMORY:
		s->lasting = o->resume_memory;
		s->size = o->from->size;
		break;
	case PQC_IO_CALLBACK:
		s->stream = true;
		s->size = o->from->size;
		break;
	}
	return 0;
}

int psource_open(struct psource **out, const struct put_opts *o, size_t part,
		 const struct call *call, struct err *e)
{
	struct psource *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->fd = -1;
	s->part = part;
	s->call = call;
	if ((r = open_any(s, o, e)) == 0 && (r = fingerprint(s, e)) == 0)
		*out = s;
	else
		psource_free(s);
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
	if (s->fd >= 0 && s->from->kind == PQC_IO_PATH)
		close(s->fd);
	free(s);
}

uint64_t psource_size(const struct psource *s)
{
	return s->size;
}

bool psource_is_stream(const struct psource *s)
{
	return s->stream;
}

bool psource_is_lasting(const struct psource *s)
{
	return s->lasting;
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
		       psource_name(s));
}

static int read_anywhere(struct psource *s, uint64_t i, uint8_t *room, const uint8_t **p, size_t *n,
			 bool *final, struct err *e)
{
	uint64_t off = i * s->part;
	int r;

	*n = s->size - off < s->part ? (size_t)(s->size - off) : s->part;
	*final = off + *n == s->size;
	*p = room;
	if (s->from->kind == PQC_IO_MEMORY) {
		if (*n > 0)
			*p = (const uint8_t *)s->from->data + off;
		return 0;
	}
	r = file_pread(s->fd, room, *n, off, e);
	return r == PQC_EINTEGRITY ? changed(s, e) : r;
}

/* Up to n bytes of the stream, less only at its end. */
static int read_waiting(struct psource *s, uint8_t *p, size_t n, size_t *got, struct err *e)
{
	const struct slow_end w = {call_is_over, s->call};
	int r;

	if (s->from->kind == PQC_IO_CALLBACK)
		return callback_read(s->from, &w, &s->taken, p, n, got, e);
	r = slow_read(s->fd, &w, p, n, got, e);
	if (r != 0 && r != PQC_EINTERRUPTED)
		err_prefix(e, "the stream");
	return r;
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

static int read_stream(struct psource *s, uint64_t i, const uint8_t **p, size_t *n, bool *final,
		       struct err *e)
{
	const uint64_t released = atomic_load(&s->released);
	struct kept *k = &s->kept[i % SOURCE_KEEP];
	int r;

	if (i == s->next && s->eof)
		return PQC_ENOTFOUND;
	if (i < released || i > s->next || i >= released + SOURCE_KEEP)
		return err_set(e, PQC_EFAIL, "the stream cannot be read back to part %llu",
			       (unsigned long long)i);
	if (i == s->next && (r = read_on(s, k, e)) != 0)
		return r;
	*p = k->p;
	*n = k->n;
	*final = s->eof && i + 1 == s->next;
	return 0;
}

int psource_read(struct psource *s, uint64_t i, uint8_t *room, const uint8_t **p, size_t *n,
		 bool *final, struct err *e)
{
	return s->stream ? read_stream(s, i, p, n, final, e)
			 : read_anywhere(s, i, room, p, n, final, e);
}

void psource_release(struct psource *s, uint64_t i)
{
	if (s->stream && i > atomic_load(&s->released))
		atomic_store(&s->released, i);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int psource_check(const struct psource *s, struct err *e)
{
	struct stat st;

	if (s->stream || s->fd < 0)
		return 0;
	if (fstat(s->fd, &st) != 0)
		return err_sys(e, errno, "%s", psource_name(s));
	if (st.st_size != s->st.st_size || !same_time(&st.st_mtim, &s->st.st_mtim) ||
	    !same_time(&st.st_ctim, &s->st.st_ctim))
		return changed(s, e);
	return 0;
}
