#include "container/header.h"

#include <string.h>

#include "base/buf.h"
#include "crypto/secmem.h"

static const uint8_t magic[8] = {0x89, 'P', 'Q', 'X', 0x0d, 0x0a, 0x1a, 0x0a};

#define PQX_VERSION   1
#define COMMITTED_LEN 96 /* the header's bytes that commit is over */

/* Labels are hashed with their terminating NUL: it is the 00 that follows them in the document. */
static const char label_commit[] = "pqx1 commit";
static const char label_part[] = "pqx1 part";
static const char label_keyblock[] = "pqx1 keyblock";
static const char label_meta[] = "pqx1 meta";

static bool part_size_ok(uint32_t n)
{
	return n >= PQX_PART_MIN && n <= PQX_PART_MAX && (n & (n - 1)) == 0;
}

/* Everything of a header that can be judged without its key. */
static bool fields_ok(const struct pqx_header *h)
{
	uint64_t n;

	if (h->suite == NULL || !part_size_ok(h->part_size))
		return false;
	if ((h->flags & ~(uint64_t)PQX_FLAG_E2E) != 0)
		return false;
	return h->plain_size == PQX_SIZE_UNKNOWN ||
	       pqx_part_count(h->part_size, h->plain_size, &n) == 0;
}

static void encode(struct pqx_header *h)
{
	uint8_t *p = h->raw;

	memcpy(p, magic, sizeof(magic));
	be16_put(p + 8, PQX_VERSION);
	be16_put(p + 10, h->suite->id);
	be32_put(p + 12, h->part_size);
	be64_put(p + 16, h->plain_size);
	be64_put(p + 24, h->flags);
	memcpy(p + 32, h->file_id, 32);
	memcpy(p + 64, h->sender_id, ID_LEN);
	memcpy(p + 96, h->commit, 32);
}

static int key_commitment(const uint8_t raw[PQX_HEADER_LEN], const uint8_t prk[PRK_LEN],
			  uint8_t out[32])
{
	const struct span info[] = {{label_commit, sizeof(label_commit)}, {raw, COMMITTED_LEN}};

	return hkdf_expand(prk, PRK_LEN, info, 2, out, 32);
}

static int subkey(const struct pqx_header *h, const uint8_t prk[PRK_LEN], const struct span *label,
		  uint8_t out[KEY_LEN])
{
	const struct span info[] = {*label, {h->hc, SHA512_LEN}};

	return hkdf_expand(prk, PRK_LEN, info, 2, out, KEY_LEN);
}

/* The keys under PRK, once h->hc stands. k->dek is the caller's. */
static int subkeys(const struct pqx_header *h, const uint8_t prk[PRK_LEN], struct pqx_keys *k)
{
	const struct span part = {label_part, sizeof(label_part)};
	const struct span keyblock = {label_keyblock, sizeof(label_keyblock)};
	const struct span meta = {label_meta, sizeof(label_meta)};
	int r;

	if ((r = subkey(h, prk, &part, k->part)) != 0)
		return r;
	if ((r = subkey(h, prk, &keyblock, k->keyblock)) != 0)
		return r;
	return subkey(h, prk, &meta, k->meta);
}

static int hash_header(struct pqx_header *h)
{
	return sha512(&(struct span){h->raw, PQX_HEADER_LEN}, 1, h->hc);
}

int pqx_header_new(struct pqx_header *h, struct pqx_keys *k)
{
	uint8_t prk[PRK_LEN];
	int r;

	if (!fields_ok(h))
		return PQC_EUSAGE;
	if ((r = random_bytes(h->file_id, sizeof(h->file_id))) != 0)
		goto out;
	if ((r = random_bytes(k->dek, KEY_LEN)) != 0)
		goto out;
	if ((r = hkdf_extract(h->file_id, sizeof(h->file_id), k->dek, KEY_LEN, prk)) != 0)
		goto out;
	encode(h);
	if ((r = key_commitment(h->raw, prk, h->commit)) != 0)
		goto out;
	encode(h);
	if ((r = hash_header(h)) != 0)
		goto out;
	r = subkeys(h, prk, k);
out:
	secret_wipe(prk, sizeof(prk));
	if (r != 0)
		secret_wipe(k, sizeof(*k));
	return r;
}

int pqx_header_decode(const uint8_t raw[PQX_HEADER_LEN], struct pqx_header *out)
{
	struct pqx_header h = {0};
	struct rd r = rd_init(raw, PQX_HEADER_LEN);
	const uint8_t *m = rd_bytes(&r, sizeof(magic));
	int rc;

	if (memcmp(m, magic, sizeof(magic)) != 0 || rd_u16(&r) != PQX_VERSION)
		return PQC_EINTEGRITY;
	h.suite = suite_by_id(rd_u16(&r));
	h.part_size = rd_u32(&r);
	h.plain_size = rd_u64(&r);
	h.flags = rd_u64(&r);
	rd_copy(&r, h.file_id, sizeof(h.file_id));
	rd_copy(&r, h.sender_id, ID_LEN);
	rd_copy(&r, h.commit, sizeof(h.commit));
	if (rd_finish(&r) != 0 || !fields_ok(&h))
		return PQC_EINTEGRITY;
	memcpy(h.raw, raw, PQX_HEADER_LEN);
	if ((rc = hash_header(&h)) != 0)
		return rc;
	*out = h;
	return 0;
}

int pqx_keys_derive(const struct pqx_header *h, const uint8_t dek[KEY_LEN], struct pqx_keys *k)
{
	uint8_t prk[PRK_LEN], commit[32];
	int r;

	if ((r = hkdf_extract(h->file_id, sizeof(h->file_id), dek, KEY_LEN, prk)) != 0)
		goto out;
	if ((r = key_commitment(h->raw, prk, commit)) != 0)
		goto out;
	if (!secret_equal(commit, h->commit, sizeof(commit))) {
		r = PQC_EINTEGRITY;
		goto out;
	}
	memmove(k->dek, dek, KEY_LEN);
	r = subkeys(h, prk, k);
out:
	secret_wipe(prk, sizeof(prk));
	secret_wipe(commit, sizeof(commit));
	if (r != 0)
		secret_wipe(k, sizeof(*k));
	return r;
}

bool pqx_header_is_signed(const struct pqx_header *h)
{
	static const uint8_t nobody[ID_LEN];

	return memcmp(h->sender_id, nobody, ID_LEN) != 0;
}

uint32_t pqx_part_capacity(uint32_t part_size)
{
	/* p = 16384 k + r takes 56 + 16400 k + r + 16 bytes, 0 <= r < 16384. */
	uint32_t room = part_size - COB_HEAD - AEAD_TAG;
	uint32_t k = room / (COB_CHUNK + AEAD_TAG), r = room % (COB_CHUNK + AEAD_TAG);

	return k * COB_CHUNK + (r < COB_CHUNK ? r : COB_CHUNK - 1);
}

int pqx_part_count(uint32_t part_size, uint64_t plain_size, uint64_t *n)
{
	uint64_t cap = pqx_part_capacity(part_size);
	uint64_t count = plain_size / cap + (plain_size % cap != 0);

	if (count > PQX_PARTS_MAX)
		return PQC_ETOOBIG;
	*n = count != 0 ? count : 1;
	return 0;
}

uint64_t pqx_body_len(uint32_t part_size, uint64_t plain_size)
{
	uint64_t cap = pqx_part_capacity(part_size);
	uint64_t before = plain_size == 0 ? 0 : (plain_size - 1) / cap; /* parts before the last */

	return before * part_size + cob_sealed_len((size_t)(plain_size - before * cap));
}
