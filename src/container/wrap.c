#include "container/wrap.h"

#include <string.h>

#include "base/buf.h"
#include "crypto/aead.h"
#include "crypto/secmem.h"

static const char salt_label[] =
	"pqx1 wrap"; /* hashed with its NUL in the info, without as a salt */

/* wk | iv | wc of the document, in the order Expand yields them. */
struct wrap_keys {
	uint8_t key[KEY_LEN];
	uint8_t iv[AEAD_IV];
	uint8_t commit[32];
};

static int derive(const struct wrapping *w, struct wrap_keys *out)
{
	uint8_t prk[PRK_LEN], type[2];
	const struct span info[] = {
		{salt_label, sizeof(salt_label)},
		{type, sizeof(type)},
		{w->h1, SHA512_LEN},
		{w->h2, SHA512_LEN},
	};
	int r;

	be16_put(type, w->type);
	r = hkdf_extract(salt_label, sizeof(salt_label) - 1, w->ikm.p, w->ikm.n, prk);
	if (r == 0)
		r = hkdf_expand(prk, PRK_LEN, info, 4, out, sizeof(*out));
	secret_wipe(prk, sizeof(prk));
	return r;
}

int dek_wrap(const struct pqx_header *h, const struct wrapping *w, const uint8_t dek[KEY_LEN],
	     uint8_t out[WRAP_LEN])
{
	struct wrap_keys wk;
	struct aead *a = NULL;
	int r;

	if ((r = derive(w, &wk)) != 0)
		goto out;
	if ((a = aead_new()) == NULL) {
		r = PQC_ENOMEM;
		goto out;
	}
	memcpy(out, wk.commit, 32);
	r = aead_seal(a, wk.key, wk.iv, &(struct span){h->hc, SHA512_LEN},
		      &(struct span){dek, KEY_LEN}, out + 32, out + 64);
out:
	aead_free(a);
	secret_wipe(&wk, sizeof(wk));
	return r;
}

int dek_unwrap(const struct pqx_header *h, const struct wrapping *w, const uint8_t wrap[WRAP_LEN],
	       uint8_t dek[KEY_LEN])
{
	struct wrap_keys wk;
	struct aead *a = NULL;
	int r;

	if ((r = derive(w, &wk)) != 0)
		goto out;
	if (!secret_equal(wk.commit, wrap, 32)) {
		r = PQC_ENOKEY;
		goto out;
	}
	if ((a = aead_new()) == NULL) {
		r = PQC_ENOMEM;
		goto out;
	}
	r = aead_open(a, wk.key, wk.iv, &(struct span){h->hc, SHA512_LEN},
		      &(struct span){wrap + 32, KEY_LEN}, wrap + 64, dek);
	if (r == PQC_EINTEGRITY)
		r = PQC_ENOKEY;
out:
	aead_free(a);
	secret_wipe(&wk, sizeof(wk));
	if (r != 0)
		secret_wipe(dek, KEY_LEN);
	return r;
}
