#include "container/offline.h"

#include <string.h>

static const char trailer_magic[4] = {'P', 'Q', 'X', 'M'};

int pqx_head_encode(const struct pqx_header *h, const struct pqx_keys *k, struct keyblock *kb,
		    uint8_t out[PQX_BODY_OFFSET])
{
	struct buf b = BUF_INIT(PQX_KEYBLOCK_MAX);
	int r;

	if ((r = keyblock_encode(kb, h, k, &b)) == 0) {
		memset(out, 0, PQX_BODY_OFFSET);
		memcpy(out, h->raw, PQX_HEADER_LEN);
		memcpy(out + PQX_HEADER_LEN, b.p, b.len);
	}
	buf_free(&b);
	return r;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n > 0 && *p == 0) {
		p++;
		n--;
	}
	return n == 0;
}

int pqx_head_decode(const uint8_t head[PQX_BODY_OFFSET], struct pqx_header *h, struct keyblock **kb)
{
	const uint8_t *block = head + PQX_HEADER_LEN;
	struct pqx_header header;
	size_t used;
	int r;

	if ((r = pqx_header_decode(head, &header)) != 0)
		return r;
	if ((r = keyblock_decode(&header, block, PQX_KEYBLOCK_MAX, kb, &used)) != 0)
		return r;
	if (!all_zero(block + used, PQX_KEYBLOCK_MAX - used)) {
		keyblock_free(*kb);
		*kb = NULL;
		return PQC_EINTEGRITY;
	}
	*h = header;
	return 0;
}

void pqx_trailer_put(size_t manifest_len, struct buf *out)
{
	buf_put_u32(out, (uint32_t)manifest_len);
	buf_put(out, trailer_magic, sizeof(trailer_magic));
}

int pqx_trailer_get(const uint8_t *p, size_t n, size_t *manifest_len)
{
	const uint8_t *t;
	size_t len;

	if (n < PQX_TRAILER_LEN)
		return PQC_EINTEGRITY;
	t = p + n - PQX_TRAILER_LEN;
	len = be32_get(t);
	if (memcmp(t + 4, trailer_magic, sizeof(trailer_magic)) != 0 || len == 0 ||
	    len > PQX_MANIFEST_MAX || len > n - PQX_TRAILER_LEN)
		return PQC_EINTEGRITY;
	*manifest_len = len;
	return 0;
}
