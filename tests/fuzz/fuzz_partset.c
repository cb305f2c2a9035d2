/* Sets of parts: the wire form is unique, and additions agree with an array. */
#include <stdlib.h>
#include <string.h>

#include "protocol/partset.h"

#define UNIVERSE 256

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void wire(const uint8_t *p, size_t n)
{
	struct partset s = PARTSET_INIT, gaps = PARTSET_INIT;
	struct buf again = BUF_INIT(1 << 20);

	if (partset_decode(p, n, &s) == 0) {
		partset_encode(&s, &again);
		require(again.len == n && (n == 0 || memcmp(again.p, p, n) == 0));
		if (partset_complement(&s, 1000, &gaps) == 0)
			for (uint64_t i = 0; i < 1000; i++)
				require(partset_has(&s, i) != partset_has(&gaps, i));
	}
	partset_free(&s);
	partset_free(&gaps);
	buf_free(&again);
}

/* Two bytes an addition. */
static void additions(const uint8_t *p, size_t n)
{
	struct partset s = PARTSET_INIT;
	bool model[2 * UNIVERSE] = {false};
	uint64_t count = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		require(partset_add(&s, p[i], p[i + 1] % 32) == 0);
		for (size_t k = p[i]; k < p[i] + p[i + 1] % 32u; k++)
			model[k] = true;
	}
	for (size_t i = 0; i < 2 * UNIVERSE; i++) {
		require(partset_has(&s, i) == model[i]);
		count += model[i];
	}
	require(partset_count(&s) == count);
	for (size_t i = 1; i < s.n; i++)
		require(s.r[i].first > s.r[i - 1].first + s.r[i - 1].count);
	partset_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	wire(p, n);
	additions(p, n);
	return 0;
}
