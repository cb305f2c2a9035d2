#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "container/keyblock_impl.h"
#include "crypto/secmem.h"

#define FIXED_LEN 12 /* length, generation, count, three zero bytes */
#define MAC_LEN	  32

size_t stanza_body_len(unsigned type)
{
	switch (type) {
	case STANZA_XWING:
		return ID_LEN + 1120 + WRAP_LEN;
	case STANZA_MLKEM1024_P384:
		return ID_LEN + 1665 + WRAP_LEN;
	case STANZA_KEK:
		return KEK_ID_LEN + 4 + 32 + WRAP_LEN;
	case STANZA_PASSPHRASE:
		return 12 + 32 + WRAP_LEN;
	case STANZA_RAW:
		return 32 + WRAP_LEN;
	default:
		return 0;
	}
}

struct keyblock *keyblock_new(void)
{
	struct keyblock *kb = calloc(1, sizeof(*kb));

	if (kb != NULL)
		buf_init(&kb->raw, PQX_KEYBLOCK_MAX);
	return kb;
}

void keyblock_free(struct keyblock *kb)
{
	if (kb == NULL)
		return;
	while (kb->count > 0)
		keyblock_remove_at(kb, kb->count - 1);
	buf_free(&kb->raw);
	free(kb);
}

uint32_t keyblock_generation(const struct keyblock *kb)
{
	return kb->generation;
}

size_t keyblock_count(const struct keyblock *kb)
{
	return kb->count;
}

const struct stanza *keyblock_stanza(const struct keyblock *kb, size_t i)
{
	return &kb->stanza[i];
}

/* May a stanza of this type join those that are there? */
static bool may_join(const struct keyblock *kb, const struct pqx_header *h, uint16_t type)
{
	if (type == STANZA_KEK && (h->flags & PQX_FLAG_E2E) != 0)
		return false;
	if (kb->count == 0)
		return true;
	return type != STANZA_PASSPHRASE && kb->stanza[0].type != STANZA_PASSPHRASE;
}

int keyblock_append(struct keyblock *kb, const struct pqx_header *h, uint16_t type,
		    const uint8_t *body)
{
	size_t n = stanza_body_len(type);
	uint8_t *copy;

	if (n == 0 || !may_join(kb, h, type))
		return PQC_EUSAGE;
	if (kb->count == STANZA_COUNT_MAX)
		return PQC_ETOOBIG;
	if ((copy = malloc(n)) == NULL)
		return PQC_ENOMEM;
	memcpy(copy, body, n);
	kb->stanza[kb->count++] = (struct stanza){type, (uint16_t)n, copy};
	return 0;
}

void keyblock_remove_at(struct keyblock *kb, size_t i)
{
	free((void *)(uintptr_t)kb->stanza[i].body);
	kb->count--;
	memmove(&kb->stanza[i], &kb->stanza[i + 1], (kb->count - i) * sizeof(kb->stanza[0]));
}

static int decode_stanza(struct keyblock *kb, const struct pqx_header *h, struct rd *r)
{
	uint16_t type = rd_u16(r), len = rd_u16(r);
	const uint8_t *body = rd_bytes(r, len);
	struct argon2_params a;
	int rc;

	if (body == NULL || len == 0 || len != stanza_body_len(type))
		return PQC_EINTEGRITY;
	if (type == STANZA_PASSPHRASE) {
		a = (struct argon2_params){be32_get(body), be32_get(body + 4), be32_get(body + 8)};
		if (!argon2_in_bounds(&a))
			return PQC_EINTEGRITY;
	}
	rc = keyblock_append(kb, h, type, body);
	return rc == PQC_ENOMEM ? rc : rc != 0 ? PQC_EINTEGRITY : 0;
}

/* p[n] is exactly one key block. */
static int decode_block(struct keyblock *kb, const struct pqx_header *h, const uint8_t *p, size_t n)
{
	struct rd r = rd_init(p + 4, n - 4 - MAC_LEN);
	unsigned count;
	int rc;

	kb->generation = rd_u32(&r);
	count = rd_u8(&r);
	if (rd_u16(&r) != 0 || rd_u8(&r) != 0 || kb->generation == 0)
		return PQC_EINTEGRITY;
	if (count < 1 || count > STANZA_COUNT_MAX)
		return PQC_EINTEGRITY;
	while (count-- > 0) {
		if ((rc = decode_stanza(kb, h, &r)) != 0)
			return rc;
	}
	if ((rc = rd_finish(&r)) != 0)
		return rc;
	buf_put(&kb->raw, p, n);
	return buf_error(&kb->raw);
}

int keyblock_decode(const struct pqx_header *h, const uint8_t *p, size_t n, struct keyblock **out,
		    size_t *used)
{
	struct keyblock *kb;
	size_t len;
	int r;

	if (n < FIXED_LEN + MAC_LEN)
		return PQC_EINTEGRITY;
	if (n > PQX_KEYBLOCK_MAX)
		n = PQX_KEYBLOCK_MAX;
	len = be32_get(p);
	if (len < FIXED_LEN - 4 + MAC_LEN || len > n - 4)
		return PQC_EINTEGRITY;
	if ((kb = keyblock_new()) == NULL)
		return PQC_ENOMEM;
	if ((r = decode_block(kb, h, p, len + 4)) != 0) {
		keyblock_free(kb);
		return r;
	}
	*used = len + 4;
	*out = kb;
	return 0;
}

static int block_mac(const struct pqx_header *h, const struct pqx_keys *k, const struct buf *b,
		     uint8_t mac[MAC_LEN])
{
	const struct span in[] = {{h->hc, SHA512_LEN}, {b->p, b->len - MAC_LEN}};

	return hmac512_256(k->keyblock, in, 2, mac);
}

int keyblock_verify(const struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k)
{
	uint8_t mac[MAC_LEN];
	int r;

	if (kb->raw.len < FIXED_LEN + MAC_LEN)
		return PQC_EINTEGRITY;
	if ((r = block_mac(h, k, &kb->raw, mac)) != 0)
		return r;
	return secret_equal(mac, kb->raw.p + kb->raw.len - MAC_LEN, MAC_LEN) ? 0 : PQC_EINTEGRITY;
}

int keyblock_encode(struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k,
		    struct buf *out)
{
	struct buf b = BUF_INIT(PQX_KEYBLOCK_MAX);
	uint8_t mac[MAC_LEN];
	uint8_t *p;
	size_t i;
	int r;

	if (kb->count == 0)
		return PQC_EUSAGE;
	if (kb->generation == UINT32_MAX)
		return PQC_ETOOBIG;
	buf_put_u32(&b, 0); /* the length, once it is known */
	buf_put_u32(&b, kb->generation + 1);
	buf_put_u8(&b, (uint8_t)kb->count);
	buf_put(&b, (uint8_t[3]){0}, 3);
	for (i = 0; i < kb->count; i++) {
		buf_put_u16(&b, kb->stanza[i].type);
		buf_put_u16(&b, kb->stanza[i].len);
		buf_put(&b, kb->stanza[i].body, kb->stanza[i].len);
	}
	p = buf_extend(&b, MAC_LEN);
	if ((r = buf_error(&b)) != 0)
		goto out;
	be32_put(b.p, (uint32_t)(b.len - 4));
	if ((r = block_mac(h, k, &b, mac)) != 0)
		goto out;
	memcpy(p, mac, MAC_LEN);
	buf_put(out, b.p, b.len);
	if ((r = buf_error(out)) != 0)
		goto out;
	kb->generation++;
	buf_free(&kb->raw);
	kb->raw = b;
	b = (struct buf)BUF_INIT(0); /* transferred */
out:
	buf_free(&b);
	return r;
}

int keyblock_remove_recipient(struct keyblock *kb, const uint8_t id[ID_LEN])
{
	size_t i = 0;
	int r = PQC_ENOTFOUND;

	while (i < kb->count) {
		const struct stanza *s = &kb->stanza[i];

		if ((s->type == STANZA_XWING || s->type == STANZA_MLKEM1024_P384) &&
		    memcmp(s->body, id, ID_LEN) == 0) {
			keyblock_remove_at(kb, i);
			r = 0;
		} else {
			i++;
		}
	}
	return r;
}

int keyblock_remove_type(struct keyblock *kb, enum stanza_type type)
{
	size_t i = 0;
	int r = PQC_ENOTFOUND;

	while (i < kb->count) {
		if (kb->stanza[i].type == type) {
			keyblock_remove_at(kb, i);
			r = 0;
		} else {
			i++;
		}
	}
	return r;
}
