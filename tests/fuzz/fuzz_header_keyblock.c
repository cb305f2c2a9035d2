/*
 * Core header and key block. The first byte says what the input is: 0 a
 * header and a key block; 1 a key block of a header whose key is known;
 * 2 the same, given a right mac, so that what it holds is used.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "container/keyblock.h"

static struct pqx_header known;
static struct pqx_keys keys;
static struct identity *recipient;
static const struct kek kek = {.version = 1};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void prepare(void)
{
	if (recipient)
		return;
	known.suite = suite_by_id(SUITE_KYBER768);
	known.part_size = PQX_PART_MIN;
	known.plain_size = 12345;
	require(pqx_header_new(&known, &keys) == 0);
	require(identity_generate(known.suite, &recipient) == 0);
}

/* Every way to open it but a passphrase, which is made to be slow. */
static void use(const struct keyblock *kb, const struct pqx_header *h)
{
	const uint8_t raw[KEY_LEN] = {0};
	struct pqx_keys k;

	for (size_t i = 0; i < keyblock_count(kb); i++) {
		const struct stanza *s = keyblock_stanza(kb, i);
		uint8_t sum = 0;

		for (size_t b = 0; b < s->len; b++)
			sum ^= s->body[b];
		require(s->type >= STANZA_XWING && s->type <= STANZA_RAW && sum <= 255);
	}
	require(keyblock_open_identity(kb, h, recipient, &k) != 0);
	require(keyblock_open_kek(kb, h, &kek, &k) != 0);
	require(keyblock_open_raw(kb, h, raw, &k) != 0);
}

static void block(const struct pqx_header *h, const uint8_t *p, size_t n)
{
	struct keyblock *kb = NULL;
	size_t used;

	if (keyblock_decode(h, p, n, &kb, &used) != 0)
		return;
	require(used <= n && keyblock_count(kb) >= 1 && keyblock_count(kb) <= STANZA_COUNT_MAX);
	if (keyblock_verify(kb, h, &keys) == 0)
		require(h == &known);
	use(kb, h);
	keyblock_free(kb);
}

static void block_with_mac(const uint8_t *p, size_t n)
{
	struct buf b = BUF_INIT(1 << 20);
	struct span text[2] = {{known.hc, SHA512_LEN}, {NULL, 0}};
	uint8_t mac[32];

	buf_put_u32(&b, (uint32_t)n + 32);
	buf_put(&b, p, n);
	require(buf_error(&b) == 0);
	text[1] = (struct span){b.p, b.len};
	require(hmac512_256(keys.keyblock, text, 2, mac) == 0);
	buf_put(&b, mac, sizeof(mac));
	block(&known, b.p, b.len);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct pqx_header h;

	prepare();
	if (n < 1 || n > 100000)
		return 0;
	switch (p[0] % 3) {
	case 0:
		if (n < 1 + PQX_HEADER_LEN || pqx_header_decode(p + 1, &h) != 0)
			break;
		require(memcmp(h.raw, p + 1, PQX_HEADER_LEN) == 0);
		block(&h, p + 1 + PQX_HEADER_LEN, n - 1 - PQX_HEADER_LEN);
		break;
	case 1:
		block(&known, p + 1, n - 1);
		break;
	default:
		block_with_mac(p + 1, n - 1);
	}
	return 0;
}
