#include "protocol/msg.h"

#include <string.h>

#include "base/text.h"
#include "protocol/partset.h"

/* What a field holds. An integer's kind is its size. */
enum kind { U8 = 1, U32 = 4, U64 = 8, BYTES, TEXT, RANGES, ENTRIES };

struct field {
	enum kind kind;
	uint64_t min, max; /* of an integer's value, or of the length */
	size_t at;	   /* in struct msg */
};

#define AT(member) offsetof(struct msg, member)

static const struct field fields[TAG_MAX + 1] = {
	[TAG_OP] = {U8, OP_PUT, OP_RECEIPT, AT(op)},
	[TAG_NAME] = {TEXT, 0, 4096, AT(name)},
	[TAG_SIZE] = {U64, 0, UINT64_MAX, AT(size)},
	[TAG_FILE_ID] = {BYTES, 32, 32, AT(file_id)},
	[TAG_HEADER] = {BYTES, PQX_HEADER_LEN, PQX_HEADER_LEN, AT(header)},
	[TAG_DEK] = {BYTES, KEY_LEN, KEY_LEN, AT(dek)},
	[TAG_KEYBLOCK] = {BYTES, 1, PQX_KEYBLOCK_MAX, AT(keyblock)},
	[TAG_TRACEPARENT] = {BYTES, 55, 55, AT(traceparent)},
	[TAG_RANGES] = {RANGES, 0, PARTSET_MAX * 16, AT(ranges)},
	[TAG_STATUS] = {U8, ST_ACCEPTED, ST_ERROR, AT(status)},
	[TAG_CODE] = {U8, CODE_REFUSED, CODE_NAME, AT(code)},
	[TAG_TEXT] = {TEXT, 0, 512, AT(text)},
	[TAG_RETRY_AFTER] = {U32, 0, UINT32_MAX, AT(retry_after)},
	[TAG_POSITION] = {U32, 0, UINT32_MAX, AT(position)},
	[TAG_HANDLE] = {U32, 0, UINT32_MAX, AT(handle)},
	[TAG_WINDOW] = {U32, 1, MSG_WINDOW_MAX, AT(window)},
	[TAG_DURABLE] = {U64, 0, PQX_PARTS_MAX, AT(durable)},
	[TAG_MANIFEST] = {BYTES, 1, 8192, AT(manifest)},
	[TAG_RECEIPT] = {BYTES, 1, 8192, AT(receipt)},
	[TAG_ENTRIES] = {ENTRIES, 0, 65536, AT(entries)},
	[TAG_CURSOR] = {BYTES, 1, 4096, AT(cursor)},
};

/* The fields of a type, for one value of the field that tells its variants apart. */
struct rule {
	uint8_t type, variant, value; /* variant 0: there are none */
	uint32_t need, may;
};

#define B(name) msg_bit(TAG_##name)
#define OBJECT	(B(OP) | B(NAME))
#define FAILURE (B(CODE) | B(TEXT))
#define ANSWER                                                                            \
	(B(HANDLE) | B(WINDOW) | B(HEADER) | B(DEK) | B(KEYBLOCK) | B(RANGES) | B(SIZE) | \
	 B(MANIFEST) | B(RECEIPT) | B(ENTRIES) | B(CURSOR))

static const struct rule rules[] = {
	{MSG_REQUEST, TAG_OP, OP_PUT, OBJECT | B(SIZE) | B(FILE_ID) | B(HEADER),
	 B(DEK) | B(KEYBLOCK) | B(TRACEPARENT)},
	{MSG_REQUEST, TAG_OP, OP_GET, OBJECT, B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REQUEST, TAG_OP, OP_LIST, OBJECT, B(CURSOR) | B(TRACEPARENT)},
	{MSG_REQUEST, TAG_OP, OP_STAT, OBJECT, B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REQUEST, TAG_OP, OP_DELETE, OBJECT, B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REQUEST, TAG_OP, OP_RECEIPT, OBJECT, B(FILE_ID) | B(TRACEPARENT)},
	{MSG_REPLY, TAG_STATUS, ST_ACCEPTED, B(STATUS), ANSWER},
	{MSG_REPLY, TAG_STATUS, ST_QUEUED, B(STATUS) | B(POSITION), B(TEXT) | B(RETRY_AFTER)},
	{MSG_REPLY, TAG_STATUS, ST_ERROR, B(STATUS) | FAILURE, B(RETRY_AFTER)},
	{MSG_ACK, 0, 0, B(RANGES) | B(DURABLE), 0},
	{MSG_COMMIT, 0, 0, B(MANIFEST), 0},
	{MSG_RECEIPT, 0, 0, B(MANIFEST) | B(RECEIPT), 0},
	{MSG_FETCH, 0, 0, B(RANGES), 0},
	{MSG_NEXT, 0, 0, B(CURSOR), 0},
	{MSG_ENTRIES, 0, 0, B(ENTRIES), B(CURSOR)},
	{MSG_ERROR, 0, 0, FAILURE, B(RETRY_AFTER)},
};

static uint64_t get_integer(const struct msg *m, const struct field *f)
{
	const uint8_t *p = (const uint8_t *)m + f->at;

	switch (f->kind) {
	case U8:
		return *p;
	case U32:
		return *(const uint32_t *)(const void *)p;
	default:
		return *(const uint64_t *)(const void *)p;
	}
}

static const struct span *get_span(const struct msg *m, const struct field *f)
{
	return (const void *)((const uint8_t *)m + f->at);
}

/* Do the fields fit the type and its variant? */
static bool fields_fit(const struct msg *m)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (r->type != m->type)
			continue;
		if (r->variant &&
		    (!msg_has(m, r->variant) || get_integer(m, &fields[r->variant]) != r->value))
			continue;
		return (m->has & r->need) == r->need && (m->has & ~(r->need | r->may)) == 0;
	}
	return false;
}

static bool entries_fit(const struct span *v)
{
	struct rd r = rd_init(v->p, v->n);
	struct msg_entry e;

	while (msg_entry_next(&r, &e))
		;
	return rd_finish(&r) == 0;
}

/* Is the field's value allowed? */
static bool value_fits(const struct msg *m, const struct field *f)
{
	const struct span *v = get_span(m, f);
	uint64_t measure = f->kind <= U64 ? get_integer(m, f) : v->n;

	if (measure < f->min || measure > f->max)
		return false;
	switch (f->kind) {
	case TEXT:
		return utf8_valid(v->p, v->n) && (v->n == 0 || !memchr(v->p, 0, v->n));
	case RANGES:
		return partset_canonical(v->p, v->n);
	case ENTRIES:
		return entries_fit(v);
	default:
		return true;
	}
}

static void put_field(struct buf *b, uint8_t tag, const struct msg *m)
{
	const struct field *f = &fields[tag];
	const struct span *v = get_span(m, f);
	uint64_t n = f->kind <= U64 ? get_integer(m, f) : 0;

	buf_put_u8(b, tag);
	buf_put_u32(b, f->kind <= U64 ? (uint32_t)f->kind : (uint32_t)v->n);
	switch (f->kind) {
	case U8:
		buf_put_u8(b, (uint8_t)n);
		break;
	case U32:
		buf_put_u32(b, (uint32_t)n);
		break;
	case U64:
		buf_put_u64(b, n);
		break;
	default:
		buf_put(b, v->p, v->n);
	}
}

int msg_encode(const struct msg *m, struct buf *out)
{
	const size_t most = MSG_MAX - 1 - AEAD_TAG;
	size_t start = out->len;
	int r;

	if (!fields_fit(m))
		return PQC_EPROTO;
	for (uint8_t tag = 1; tag <= TAG_MAX; tag++)
		if (msg_has(m, tag) && !value_fits(m, &fields[tag]))
			return PQC_EPROTO;
	buf_put_u8(out, m->type);
	for (uint8_t tag = 1; tag <= TAG_MAX; tag++)
		if (msg_has(m, tag))
			put_field(out, tag, m);
	r = buf_error(out);
	if (r == 0 && out->len - start > most)
		r = PQC_EPROTO;
	if (r != 0)
		buf_truncate(out, start);
	return r;
}

/* The value p[n] into its place in m; false when its length or value is not allowed. */
static bool take_field(struct msg *m, uint8_t tag, const uint8_t *p, size_t n)
{
	const struct field *f = &fields[tag];
	uint8_t *at = (uint8_t *)m + f->at;

	if (f->kind <= U64 && n != (size_t)f->kind)
		return false;
	switch (f->kind) {
	case U8:
		*at = *p;
		break;
	case U32:
		*(uint32_t *)(void *)at = be32_get(p);
		break;
	case U64:
		*(uint64_t *)(void *)at = be64_get(p);
		break;
	default:
		*(struct span *)(void *)at = (struct span){p, n};
	}
	m->has |= msg_bit(tag);
	return value_fits(m, f);
}

int msg_decode(const uint8_t *p, size_t n, struct msg *m)
{
	struct rd r = rd_init(p, n);
	uint8_t last = 0;

	*m = (struct msg){.type = rd_u8(&r)};
	while (rd_left(&r) > 0) {
		uint8_t tag = rd_u8(&r);
		uint32_t len = rd_u32(&r);
		const uint8_t *value = rd_bytes(&r, len);

		if (tag <= last || tag > TAG_MAX || !value || !take_field(m, tag, value, len))
			goto bad;
		last = tag;
	}
	if (rd_finish(&r) == 0 && fields_fit(m))
		return 0;
bad:
	*m = (struct msg){0};
	return PQC_EPROTO;
}

void msg_entry_put(struct buf *entries, const struct msg_entry *e)
{
	buf_put_u64(entries, e->size);
	buf_put_u64(entries, e->time);
	buf_put(entries, e->owner, ID_LEN);
	buf_put_block(entries, e->name.p, e->name.n);
}

bool msg_entry_next(struct rd *r, struct msg_entry *e)
{
	if (rd_left(r) == 0)
		return false;
	e->size = rd_u64(r);
	e->time = rd_u64(r);
	e->owner = rd_bytes(r, ID_LEN);
	e->name.p = rd_block(r, 4096, &e->name.n);
	if (e->name.p && name_check(e->name.p, e->name.n, NULL) != 0)
		r->bad = true;
	return !r->bad;
}

static const struct {
	unsigned code;
	int err;
	const char *name;
} codes[] = {
	{CODE_REFUSED, PQC_EREFUSED, "refused"},
	{CODE_TEMPORARY, PQC_ETEMP, "temporary"},
	{CODE_INTEGRITY, PQC_EINTEGRITY, "integrity"},
	{CODE_QUOTA, PQC_EQUOTA, "quota"},
	{CODE_PROTOCOL, PQC_EPROTO, "protocol"},
	{CODE_EXISTS, PQC_EEXIST, "exists"},
	{CODE_INTERNAL, PQC_EFAIL, "internal"},
	{CODE_SUITE, PQC_EREFUSED, "suite"}, /* after "refused", which EREFUSED means by itself */
	{CODE_NAME, PQC_ENAME, "name"},
};
#define CODES (sizeof(codes) / sizeof(codes[0]))

int msg_code_to_err(unsigned code)
{
	for (size_t i = 0; i < CODES; i++)
		if (codes[i].code == code)
			return codes[i].err;
	return PQC_EPROTO;
}

unsigned msg_err_to_code(int err)
{
	switch (err) {
	case PQC_ENOTFOUND: /* "absent" and "not yours" are one answer */
	case PQC_ENOKEY:
		return CODE_REFUSED;
	case PQC_EAGAIN:
	case PQC_ECLOSED:
	case PQC_ETIMEOUT:
	case PQC_EINTERRUPTED:
		return CODE_TEMPORARY;
	case PQC_ETOOBIG:
		return CODE_QUOTA;
	}
	for (size_t i = 0; i < CODES; i++)
		if (codes[i].err == err)
			return codes[i].code;
	return CODE_INTERNAL;
}

const char *msg_code_name(unsigned code)
{
	for (size_t i = 0; i < CODES; i++)
		if (codes[i].code == code)
			return codes[i].name;
	return NULL;
}

unsigned msg_code_by_name(const char *name)
{
	for (size_t i = 0; i < CODES; i++)
		if (strcmp(codes[i].name, name) == 0)
			return codes[i].code;
	return 0;
}
