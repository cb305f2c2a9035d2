#include "protocol/partset.h"

#include <stdlib.h>
#include <string.h>

#define RANGE_LEN 16 /* on the wire: u64 first, u64 count */

static uint64_t range_end(const struct partrange *r)
{
	return r->first + r->count;
}

void partset_free(struct partset *s)
{
	free(s->r);
	*s = (struct partset)PARTSET_INIT;
}

void partset_clear(struct partset *s)
{
	s->n = 0;
}

/* Index of the first range that ends after part: the one it lies in, or the next above it. */
static size_t find(const struct partset *s, uint64_t part)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (range_end(&s->r[mid]) <= part)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Room for n ranges. */
static int reserve(struct partset *s, size_t n)
{
	size_t cap = s->cap ? s->cap : 8;
	struct partrange *r;

	if (n > PARTSET_MAX)
		return PQC_ETOOBIG;
	if (n <= s->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	r = realloc(s->r, cap * sizeof(*r));
	if (!r)
		return PQC_ENOMEM;
	s->r = r;
	s->cap = cap;
	return 0;
}

int partset_add(struct partset *s, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;
	size_t low, high;
	int r;

	if (count == 0)
		return 0;
	if (end < first)
		return PQC_ETOOBIG;
	/* Ranges low..high-1 overlap or touch the new one, which swallows them. */
	low = first > 0 ? find(s, first - 1) : 0;
	for (high = low; high < s->n && s->r[high].first <= end; high++) {
		if (s->r[high].first < first)
			first = s->r[high].first;
		if (range_end(&s->r[high]) > end)
			end = range_end(&s->r[high]);
	}
	if (low == high && (r = reserve(s, s->n + 1)) != 0)
		return r;
	memmove(s->r + low + 1, s->r + high, (s->n - high) * sizeof(*s->r));
	s->n = s->n - (high - low) + 1;
	s->r[low] = (struct partrange){first, end - first};
	return 0;
}

bool partset_covers(const struct partset *s, uint64_t first, uint64_t count)
{
	size_t i = find(s, first);

	if (count == 0)
		return true;
	return i < s->n && s->r[i].first <= first && range_end(&s->r[i]) - first >= count;
}

bool partset_has(const struct partset *s, uint64_t part)
{
	return partset_covers(s, part, 1);
}

uint64_t partset_next_missing(const struct partset *s, uint64_t from)
{
	size_t i = find(s, from);

	return i < s->n && s->r[i].first <= from ? range_end(&s->r[i]) : from;
}

uint64_t partset_count(const struct partset *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->r[i].count;
	return sum;
}

int partset_copy(struct partset *to, const struct partset *from)
{
	int r;

	if (to == from)
		return 0;
	if ((r = reserve(to, from->n)) != 0)
		return r;
	if (from->n > 0)
		memcpy(to->r, from->r, from->n * sizeof(*to->r));
	to->n = from->n;
	return 0;
}

int partset_complement(const struct partset *s, uint64_t n, struct partset *to)
{
	struct partset out = PARTSET_INIT;
	uint64_t next = 0;
	int r = 0;

	for (size_t i = 0; i < s->n && s->r[i].first < n && r == 0; i++) {
		r = partset_add(&out, next, s->r[i].first - next);
		next = range_end(&s->r[i]);
	}
	if (r == 0 && next < n)
		r = partset_add(&out, next, n - next);
	if (r != 0) {
		partset_free(&out);
		return r;
	}
	partset_free(to);
	*to = out;
	return 0;
}

void partset_encode(const struct partset *s, struct buf *b)
{
	for (size_t i = 0; i < s->n; i++) {
		buf_put_u64(b, s->r[i].first);
		buf_put_u64(b, s->r[i].count);
	}
}

bool partset_canonical(const uint8_t *p, size_t n)
{
	uint64_t above = 0; /* where the next range may begin */

	if (n % RANGE_LEN != 0 || n / RANGE_LEN > PARTSET_MAX)
		return false;
	for (size_t i = 0; i < n; i += RANGE_LEN) {
		uint64_t first = be64_get(p + i), count = be64_get(p + i + 8);

		if (first < above || count == 0 || count > UINT64_MAX - first)
			return false;
		/* One more than the end, as adjacent ranges are one range; none can follow the last part. */
		if (first + count == UINT64_MAX)
			return i + RANGE_LEN == n;
		above = first + count + 1;
	}
	return true;
}

int partset_decode(const uint8_t *p, size_t n, struct partset *s)
{
	size_t ranges = n / RANGE_LEN;
	int r;

	if (!partset_canonical(p, n))
		return PQC_EPROTO;
	if ((r = reserve(s, ranges)) != 0)
		return r;
	for (size_t i = 0; i < ranges; i++, p += RANGE_LEN)
		s->r[i] = (struct partrange){be64_get(p), be64_get(p + 8)};
	s->n = ranges;
	return 0;
}
