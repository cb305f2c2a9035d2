#include "protocol/hs_keys.h"

#include <string.h>

#include "base/buf.h"
#include "crypto/secmem.h"

/* A label with its terminating zero, the "00" of the specification. */
#define LABEL(text) ((struct span){(text), sizeof(text)})

int hs_th3(const struct suite *s, const struct span *m1, const struct span m2[HS_M2_PIECES],
	   const uint8_t *ct, uint8_t th3[SHA512_LEN])
{
	uint8_t n1[4], n2[4], nct[4];
	const struct span in[] = {
		LABEL("pqx1 handshake"),
		{&s->id, 1},
		{n1, 4},
		*m1,
		{n2, 4},
		m2[0],
		m2[1],
		m2[2],
		{nct, 4},
		{ct, s->hs_ct_len},
	};

	be32_put(n1, (uint32_t)m1->n);
	be32_put(n2, (uint32_t)(m2[0].n + m2[1].n + m2[2].n));
	be32_put(nct, (uint32_t)s->hs_ct_len);
	return sha512(in, sizeof(in) / sizeof(in[0]), th3);
}

static int expand(const uint8_t prk[PRK_LEN], struct span label, void *out, size_t n)
{
	return hkdf_expand(prk, PRK_LEN, &label, 1, out, n);
}

int hs_keys_derive(const struct suite *s, const uint8_t *ss, const uint8_t th3[SHA512_LEN],
		   struct hs_keys *k)
{
	int r;

	_Static_assert(sizeof(struct traffic_key) == 44, "a key and an iv without a gap");
	if ((r = hkdf_extract(th3, SHA512_LEN, ss, s->hs_ss_len, k->prk_h)) == 0)
		r = expand(k->prk_h, LABEL("pqx1 c hs"), &k->c_hs, sizeof(k->c_hs));
	return r;
}

int hs_auth(const uint8_t th3[SHA512_LEN], const uint8_t server_id[ID_LEN],
	    const uint8_t client_id[ID_LEN], const struct span *request, uint8_t out[HS_AUTH_LEN])
{
	memcpy(out, th3, SHA512_LEN);
	memcpy(out + SHA512_LEN, server_id, ID_LEN);
	memcpy(out + SHA512_LEN + ID_LEN, client_id, ID_LEN);
	return sha512(request, 1, out + SHA512_LEN + 2 * ID_LEN);
}

static int derive_th4(const struct hs_session_in *in, uint8_t th4[SHA512_LEN])
{
	uint8_t n3[4];
	const struct span text[] = {LABEL("pqx1 app"), {in->th3, SHA512_LEN}, {n3, 4}, in->m3};

	be32_put(n3, (uint32_t)in->m3.n);
	return sha512(text, sizeof(text) / sizeof(text[0]), th4);
}

int hs_session(const struct hs_session_in *in, uint8_t th4[SHA512_LEN], struct session **out)
{
	struct {
		uint8_t derived[64], prk_a[PRK_LEN];
		struct session_keys keys;
	} secret;
	struct session_keys *k = &secret.keys;
	int r;

	if ((r = derive_th4(in, th4)) != 0 ||
	    (r = expand(in->keys->prk_h, LABEL("pqx1 derived"), secret.derived,
			sizeof(secret.derived))) != 0 ||
	    (r = hkdf_extract(th4, SHA512_LEN, secret.derived, sizeof(secret.derived),
			      secret.prk_a)) != 0 ||
	    (r = expand(secret.prk_a, LABEL("pqx1 c ctl"), &k->c_ctl, sizeof(k->c_ctl))) != 0 ||
	    (r = expand(secret.prk_a, LABEL("pqx1 s ctl"), &k->s_ctl, sizeof(k->s_ctl))) != 0 ||
	    (r = expand(secret.prk_a, LABEL("pqx1 c frame"), &k->c_frame, sizeof(k->c_frame))) != 0)
		goto out;
	r = session_new(out, k, in->server);
out:
	secret_wipe(&secret, sizeof(secret));
	return r;
}
