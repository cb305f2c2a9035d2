#include "protocol/hs_bundle.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/secmem.h"
#include "protocol/hs_json.h"

#define SUITES_MAX 2

static int bundle_encode(const struct hs_bundle *b, const uint8_t *kem_pk, struct buf *out)
{
	buf_put_u16(out, HS_VERSION);
	buf_put_u16(out, HS_VERSION);
	buf_put(out, b->server_id, ID_LEN);
	buf_put_u64(out, b->not_after - HS_BUNDLE_SECONDS);
	buf_put_u64(out, b->not_after);
	buf_put_u8(out, 1);
	buf_put_u8(out, b->suite->id);
	buf_put_block(out, kem_pk, b->suite->hs_pk_len);
	return buf_error(out);
}

int bundle_decode(const uint8_t *p, size_t n, const struct suite *want, struct bundle_view *v)
{
	struct rd r = rd_init(p, n);
	uint8_t count, last = 0;

	*v = (struct bundle_view){.version = rd_u16(&r), .minimum = 0};
	v->minimum = rd_u16(&r);
	v->server_id = rd_bytes(&r, ID_LEN);
	v->not_before = rd_u64(&r);
	v->not_after = rd_u64(&r);
	count = rd_u8(&r);
	if (count < 1 || count > SUITES_MAX)
		return PQC_EPROTO;
	for (uint8_t i = 0; i < count; i++) {
		uint8_t suite = rd_u8(&r);
		size_t len;
		const uint8_t *pk = rd_block(&r, KEM_PK_MAX, &len);

		if (suite <= last) /* ascending, so none twice */
			return PQC_EPROTO;
		last = suite;
		if (suite != want->id)
			continue;
		if (len != want->hs_pk_len)
			return PQC_EPROTO;
		v->kem_pk = pk;
	}
	return rd_finish(&r) == 0 ? 0 : PQC_EPROTO;
}

/* Encode and sign, and make of it all of M2 that is the same for everyone. */
static int make_m2_head(struct hs_bundle *b, const struct identity *server, const uint8_t *kem_pk)
{
	struct hs_m2 m2 = HS_M2_INIT;
	uint8_t *sig = buf_extend(&m2.sig, b->suite->sig_len);
	struct span text;
	int r;

	buf_put(&m2.server_pk, identity_public(server)->sig_pk, b->suite->sig_pk_len);
	if ((r = bundle_encode(b, kem_pk, &m2.bundle)) != 0 || (r = buf_error(&m2.sig)) != 0 ||
	    (r = buf_error(&m2.server_pk)) != 0)
		goto out;
	text = (struct span){m2.bundle.p, m2.bundle.len};
	r = sign_make(identity_sign_key(server), HS_BUNDLE_CONTEXT, &text, sig);
	if (r != 0)
		goto out;
	hs_m2_head(&m2, &b->m2_head);
	r = buf_error(&b->m2_head);
out:
	hs_m2_free(&m2);
	return r;
}

int hs_bundle_new(const struct identity *server, uint64_t now, struct hs_bundle **out)
{
	const struct public_identity *id = identity_public(server);
	uint8_t kem_pk[KEM_PK_MAX];
	struct hs_bundle *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return PQC_ENOMEM;
	b->refs = 1;
	b->suite = id->suite;
	b->not_after = now + HS_BUNDLE_SECONDS;
	memcpy(b->server_id, id->id, ID_LEN);
	buf_init(&b->m2_head, HS_JSON_MAX);
	if ((r = kem_hs_generate(b->suite, &b->kem, kem_pk)) != 0 ||
	    (r = make_m2_head(b, server, kem_pk)) != 0)
		goto out;
	*out = b;
	b = NULL; /* transferred */
out:
	hs_bundle_unref(b);
	return r;
}

struct hs_bundle *hs_bundle_ref(struct hs_bundle *b)
{
	b->refs++;
	return b;
}

void hs_bundle_unref(struct hs_bundle *b)
{
	if (!b || --b->refs > 0)
		return;
	kem_free(b->kem);
	buf_free(&b->m2_head);
	free(b);
}

uint64_t hs_bundle_not_after(const struct hs_bundle *b)
{
	return b->not_after;
}
