#include "container/part.h"

#include <string.h>

#include "base/buf.h"
#include "crypto/secmem.h"

static const char label[] = "pqx1 part"; /* with its NUL: the 00 after it */

#define CONTEXT_LEN (sizeof(label) + 8 + 1 + 4)

static void context(uint64_t i, bool final, size_t plain_len, uint8_t out[CONTEXT_LEN])
{
	memcpy(out, label, sizeof(label));
	be64_put(out + sizeof(label), i);
	out[sizeof(label) + 8] = final;
	be32_put(out + sizeof(label) + 9, (uint32_t)plain_len);
}

/* May part i of this file, last or not, carry n bytes? */
static bool place_ok(const struct pqx_header *h, uint64_t i, bool final, size_t n)
{
	uint32_t cap = pqx_part_capacity(h->part_size);
	uint64_t count;

	if (i >= PQX_PARTS_MAX || n > cap)
		return false;
	if (!final && (n != cap || i == PQX_PARTS_MAX - 1))
		return false;
	if (n == 0 && i != 0)
		return false;
	if (h->plain_size == PQX_SIZE_UNKNOWN)
		return true;
	if (pqx_part_count(h->part_size, h->plain_size, &count) != 0)
		return false;
	return final == (i == count - 1) && (!final || i * cap + n == h->plain_size);
}

int pqx_leaf(const struct suite *s, uint64_t i, const struct span *sealed, uint8_t *leaf)
{
	uint8_t head[9] = {0x00};
	const struct span in[] = {{head, sizeof(head)}, *sealed};

	be64_put(head + 1, i);
	return tree_hash(s, in, 2, leaf);
}

int pqx_part_seal(struct aead *a, const struct pqx_header *h, const struct pqx_keys *k, uint64_t i,
		  bool final, const struct span *plain, uint8_t *out, uint8_t *leaf)
{
	uint8_t salt[COB_SALT], ctx[CONTEXT_LEN];
	int r;

	if (!place_ok(h, i, final, plain->n))
		return PQC_EUSAGE;
	if ((r = random_bytes(salt, sizeof(salt))) != 0)
		return r;
	context(i, final, plain->n, ctx);
	if ((r = cob_seal(a, k->part, salt, &(struct span){ctx, sizeof(ctx)}, plain, out)) != 0)
		return r;
	return pqx_leaf(h->suite, i, &(struct span){out, pqx_part_sealed_len(plain->n)}, leaf);
}

int pqx_part_open(struct aead *a, const struct pqx_header *h, const struct pqx_keys *k, uint64_t i,
		  bool final, const struct span *sealed, uint8_t *out, size_t *plain_len)
{
	uint8_t ctx[CONTEXT_LEN];
	size_t n;
	int r;

	if (sealed->n > h->part_size || cob_opened_len(sealed->n, &n) != 0)
		return PQC_EINTEGRITY;
	if (!place_ok(h, i, final, n))
		return PQC_EINTEGRITY;
	context(i, final, n, ctx);
	if ((r = cob_open(a, k->part, &(struct span){ctx, sizeof(ctx)}, sealed, out)) != 0)
		return r;
	*plain_len = n;
	return 0;
}
