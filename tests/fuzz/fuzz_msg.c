/* Control messages: what decodes has allowed values and encodes to the very same bytes. */
#include <stdlib.h>
#include <string.h>

#include "protocol/msg.h"
#include "protocol/partset.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void walk_entries(const struct msg *m)
{
	struct rd r = rd_init(m->entries.p, m->entries.n);
	struct msg_entry e;

	while (msg_entry_next(&r, &e))
		require(e.owner && e.name.n > 0);
	require(rd_finish(&r) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf again = BUF_INIT(MSG_MAX);
	struct partset s = PARTSET_INIT;
	struct msg m;

	if (n > MSG_MAX - 17)
		return 0;
	if (msg_decode(p, n, &m) != 0) {
		require(m.type == 0 && m.has == 0);
		return 0;
	}
	if (msg_has(&m, TAG_RANGES))
		require(partset_decode(m.ranges.p, m.ranges.n, &s) == 0);
	if (msg_has(&m, TAG_ENTRIES))
		walk_entries(&m);
	require(msg_encode(&m, &again) == 0);
	require(again.len == n && memcmp(again.p, p, n) == 0);
	partset_free(&s);
	buf_free(&again);
	return 0;
}
