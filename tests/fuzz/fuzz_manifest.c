/*
 * Manifests. The first byte says what the input is: 0 a manifest for an
 * unsigned file, 1 for a signed one, 2 the fields of one, given a right mac.
 */
#include <stdlib.h>
#include <string.h>

#include "container/manifest.h"

static struct pqx_header headers[2]; /* unsigned, signed */
static struct pqx_keys keys[2];

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void prepare(void)
{
	if (headers[0].suite)
		return;
	for (int i = 0; i < 2; i++) {
		headers[i].suite = suite_by_id(SUITE_KYBER768);
		headers[i].part_size = PQX_PART_MIN;
		headers[i].plain_size = PQX_SIZE_UNKNOWN;
		headers[i].sender_id[0] = (uint8_t)i;
		require(pqx_header_new(&headers[i], &keys[i]) == 0);
	}
}

static void check(int which, const uint8_t *p, size_t n)
{
	const struct pqx_header *h = &headers[which];
	struct pqx_manifest m;
	uint64_t parts;

	(void)pqx_manifest_decode(h, p, n, &m);
	if (pqx_manifest_check(h, &keys[which], p, n, &m) != 0)
		return;
	require(!m.is_signed && which == 0 && m.suite == h->suite);
	require(memcmp(m.hc, h->hc, SHA512_LEN) == 0);
	require(pqx_part_count(h->part_size, m.plain_size, &parts) == 0 && parts == m.n);
	/* who has no key can believe nothing that is not signed */
	require(pqx_manifest_check(h, NULL, p, n, &m) != 0);
}

/* "pqxm" | suite | HC are right, n to time are the input's. */
static void check_with_mac(const uint8_t *p, size_t n)
{
	static const char label[] = "pqx1 manifest";
	struct buf b = BUF_INIT(1 << 20);
	uint8_t mac[32];

	buf_put_str(&b, "pqxm");
	buf_put_u16(&b, headers[0].suite->id);
	buf_put(&b, headers[0].hc, SHA512_LEN);
	buf_put(&b, p, n);
	buf_put_u8(&b, 0);
	require(buf_error(&b) == 0);
	require(hmac512_256(keys[0].meta, (struct span[]){{label, sizeof(label)}, {b.p, b.len}}, 2,
			    mac) == 0);
	buf_put(&b, mac, sizeof(mac));
	check(0, b.p, b.len);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	prepare();
	if (n < 1 || n > 100000)
		return 0;
	if (p[0] % 3 == 2)
		check_with_mac(p + 1, n - 1);
	else
		check(p[0] % 3, p + 1, n - 1);
	return 0;
}
