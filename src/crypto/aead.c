#include "crypto/aead.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "crypto/aead_internal.h"
#include "crypto/secmem.h"

struct aead *aead_new(void)
{
	struct aead *a = calloc(1, sizeof *a);

	if (a == NULL)
		return NULL;
	a->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	a->ctx = EVP_CIPHER_CTX_new();
	if (a->cipher == NULL || a->ctx == NULL) {
		aead_free(a);
		return NULL;
	}
	return a;
}

void aead_free(struct aead *a)
{
	if (a == NULL)
		return;
	EVP_CIPHER_CTX_free(a->ctx); /* wipes the key schedule */
	EVP_CIPHER_free(a->cipher);
	free(a);
}

void aead_nonce(const uint8_t iv[AEAD_IV], uint64_t seq, uint8_t out[AEAD_IV])
{
	memcpy(out, iv, AEAD_IV);
	be64_put(out + 4, be64_get(out + 4) ^ seq);
}

int aead_key(struct aead *a, bool seal, const uint8_t key[KEY_LEN])
{
	return EVP_CipherInit_ex2(a->ctx, a->cipher, key, NULL, seal, NULL) == 1 ? 0 : PQC_ECRYPTO;
}

void aead_forget(struct aead *a)
{
	(void)EVP_CIPHER_CTX_reset(a->ctx);
}

/* EVP counts in int. out is NULL for additional data. */
static bool update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in, size_t n)
{
	const size_t most = 1 << 30;

	while (n > 0) {
		int step = (int)(n < most ? n : most), len;

		if (EVP_CipherUpdate(ctx, out, &len, in, step) != 1)
			return false;
		in += step;
		out = out != NULL ? out + step : NULL;
		n -= (size_t)step;
	}
	return true;
}

int aead_seal_one(struct aead *a, const uint8_t iv[AEAD_IV], const struct span *aad,
		  const struct span *in, uint8_t *out, uint8_t tag[AEAD_TAG])
{
	uint8_t none[AEAD_TAG];
	int len;

	if (EVP_CipherInit_ex2(a->ctx, NULL, NULL, iv, 1, NULL) != 1 ||
	    !update(a->ctx, NULL, aad->p, aad->n) || !update(a->ctx, out, in->p, in->n) ||
	    EVP_CipherFinal_ex(a->ctx, none, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) != 1)
		return PQC_ECRYPTO;
	return 0;
}

int aead_open_one(struct aead *a, const uint8_t iv[AEAD_IV], const struct span *aad,
		  const struct span *in, const uint8_t tag[AEAD_TAG], uint8_t *out)
{
	uint8_t expected[AEAD_TAG], none[AEAD_TAG];
	int len;

	memcpy(expected, tag, AEAD_TAG);
	if (EVP_CipherInit_ex2(a->ctx, NULL, NULL, iv, 0, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, expected) != 1 ||
	    !update(a->ctx, NULL, aad->p, aad->n) || !update(a->ctx, out, in->p, in->n))
		return PQC_ECRYPTO;
	return EVP_CipherFinal_ex(a->ctx, none, &len) == 1 ? 0 : PQC_EINTEGRITY;
}

static const struct span nothing = {NULL, 0};

int aead_seal(struct aead *a, const uint8_t key[KEY_LEN], const uint8_t iv[AEAD_IV],
	      const struct span *aad, const struct span *in, uint8_t *out, uint8_t tag[AEAD_TAG])
{
	const struct span *text = in != NULL ? in : &nothing;
	int r;

	if ((r = aead_key(a, true, key)) == 0)
		r = aead_seal_one(a, iv, aad != NULL ? aad : &nothing, text, out, tag);
	if (r != 0)
		secret_wipe(out, text->n); /* in may have been there */
	aead_forget(a);
	return r;
}

int aead_open(struct aead *a, const uint8_t key[KEY_LEN], const uint8_t iv[AEAD_IV],
	      const struct span *aad, const struct span *in, const uint8_t tag[AEAD_TAG],
	      uint8_t *out)
{
	const struct span *text = in != NULL ? in : &nothing;
	int r;

	if ((r = aead_key(a, false, key)) == 0)
		r = aead_open_one(a, iv, aad != NULL ? aad : &nothing, text, tag, out);
	if (r != 0)
		secret_wipe(out, text->n);
	aead_forget(a);
	return r;
}
