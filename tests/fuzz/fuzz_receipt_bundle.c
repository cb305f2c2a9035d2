/*
 * Receipts and the text form that people keep. The first byte says what the
 * input is: 0 the text; 1 a receipt; 2 header, manifest and receipt, which are
 * given the form of the text. Nothing made up may verify.
 */
#include <stdlib.h>
#include <string.h>

#include "container/manifest.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_text(const void *p, size_t n)
{
	struct pqx_bundle b;
	struct err e = {0};
	int r = pqx_receipt_bundle_check(p, n, &b, &e);

	require(r == PQC_EINTEGRITY && e.code == r && e.msg[0]);
}

/* The first two bytes behind the header say how much of the rest is the manifest. */
static void check_pieces(const uint8_t *p, size_t n)
{
	struct buf text = BUF_INIT(1 << 20);
	struct span manifest, receipt;

	if (n < PQX_HEADER_LEN + 2)
		return;
	manifest.p = p + PQX_HEADER_LEN + 2;
	manifest.n = be16_get(p + PQX_HEADER_LEN) % (n - PQX_HEADER_LEN - 1);
	receipt.p = (const uint8_t *)manifest.p + manifest.n;
	receipt.n = n - PQX_HEADER_LEN - 2 - manifest.n;
	if (pqx_receipt_bundle_encode(p, &manifest, &receipt, &text) == 0)
		check_text(text.p, text.len);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct pqx_receipt r;

	if (n < 1 || n > 100000)
		return 0;
	switch (p[0] % 3) {
	case 0:
		check_text(p + 1, n - 1);
		break;
	case 1:
		require(pqx_receipt_check(p + 1, n - 1, &r) == PQC_EINTEGRITY);
		break;
	default:
		check_pieces(p + 1, n - 1);
	}
	return 0;
}
