#include "store/slots.h"

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "crypto/kdf.h"

#define CHECK_LEN 8
#define SLOT_MAX  (HASH_MAX + CHECK_LEN)
#define BATCH	  256 /* slots read at once by a scan */

static size_t slot_len(const struct slots *s)
{
	return s->h->suite->hash_len + CHECK_LEN;
}

static uint64_t slot_offset(const struct slots *s, uint64_t i)
{
	return s->at + i * slot_len(s);
}

static int slot_check(const struct slots *s, uint64_t i, const uint8_t *leaf,
		      uint8_t check[CHECK_LEN])
{
	uint8_t number[8], full[SHA512_LEN];
	const struct span in[] = {{s->h->raw, PQX_HEADER_LEN},
				  {number, sizeof(number)},
				  {leaf, s->h->suite->hash_len}};
	int rc;

	be64_put(number, i);
	if ((rc = sha512(in, 3, full)) == 0)
		memcpy(check, full, CHECK_LEN);
	return rc;
}

/* 0: held. */
static int slot_verify(const struct slots *s, uint64_t i, const uint8_t *slot)
{
	static const uint8_t never_written[SLOT_MAX];
	uint8_t check[CHECK_LEN];
	int rc;

	if (memcmp(slot, never_written, slot_len(s)) == 0)
		return PQC_ENOTFOUND;
	if ((rc = slot_check(s, i, slot, check)) != 0)
		return rc;
	return memcmp(check, slot + s->h->suite->hash_len, CHECK_LEN) == 0 ? 0 : PQC_ENOTFOUND;
}

int slots_put(const struct slots *s, uint64_t i, const uint8_t *leaf, struct err *e)
{
	uint8_t slot[SLOT_MAX];
	int rc;

	memcpy(slot, leaf, s->h->suite->hash_len);
	if ((rc = slot_check(s, i, leaf, slot + s->h->suite->hash_len)) != 0)
		return err_set(e, rc, "hashing a leaf failed");
	return file_pwrite(s->fd, slot, slot_len(s), slot_offset(s, i), e);
}

int slots_get(const struct slots *s, uint64_t i, uint8_t *leaf)
{
	uint8_t slot[SLOT_MAX];
	int rc = file_pread(s->fd, slot, slot_len(s), slot_offset(s, i), NULL);

	if (rc != 0)
		return rc == PQC_EINTEGRITY ? PQC_ENOTFOUND : rc; /* past the end */
	if ((rc = slot_verify(s, i, slot)) == 0)
		memcpy(leaf, slot, s->h->suite->hash_len);
	return rc;
}

int slots_count(const struct slots *s, uint64_t *n)
{
	struct stat st;

	if (fstat(s->fd, &st) != 0)
		return PQC_EIO;
	uint64_t len = (uint64_t)st.st_size > s->at ? (uint64_t)st.st_size - s->at : 0;
	*n = (len + slot_len(s) - 1) / slot_len(s);
	return 0;
}

/* Slots i..i+count-1 into p, zeros where the file has ended. */
static int read_batch(const struct slots *s, uint64_t i, size_t count, uint8_t *p)
{
	uint64_t from = slot_offset(s, i), have;
	size_t want = count * slot_len(s);
	struct stat st;

	if (fstat(s->fd, &st) != 0)
		return PQC_EIO;
	have = (uint64_t)st.st_size > from ? (uint64_t)st.st_size - from : 0;
	memset(p, 0, want);
	return file_pread(s->fd, p, have < want ? (size_t)have : want, from, NULL);
}

int slots_scan(const struct slots *s, uint64_t n,
	       int (*each)(void *arg, uint64_t i, const uint8_t *leaf), void *arg)
{
	uint8_t batch[BATCH * SLOT_MAX];
	int rc, held;

	for (uint64_t i = 0; i < n; i += BATCH) {
		size_t count = n - i < BATCH ? (size_t)(n - i) : BATCH;

		if ((rc = read_batch(s, i, count, batch)) != 0)
			return rc;
		for (size_t k = 0; k < count; k++) {
			const uint8_t *slot = batch + k * slot_len(s);

			held = slot_verify(s, i + k, slot);
			if (held != 0 && held != PQC_ENOTFOUND)
				return held;
			if ((rc = each(arg, i + k, held == 0 ? slot : NULL)) != 0)
				return rc;
		}
	}
	return 0;
}
