#include "crypto/keyder.h"

#include <string.h>

#include "crypto/pem.h"
#include "crypto/secmem.h"

size_t keyder_len(const struct pkey_alg *a)
{
	return a->file.n + a->secret_len + (a->point.n > 0 ? a->point.n + a->pk_len : 0);
}

/* The PKCS#8 form of k, keyder_len(a) bytes: the one form written and the one accepted. */
int keyder_encode(const struct pkey_alg *a, const EVP_PKEY *k, uint8_t der[PKEY_DER_MAX])
{
	uint8_t *p = der;
	int r;

	memcpy(p, a->file.p, a->file.n);
	p += a->file.n;
	if ((r = pkey_secret(a, k, p)) != 0 || a->point.n == 0)
		return r;
	p += a->secret_len;
	memcpy(p, a->point.p, a->point.n);
	return pkey_public(a, k, p + a->point.n);
}

int keyder_put_pem(struct buf *out, const struct pkey_alg *a, const EVP_PKEY *k)
{
	uint8_t der[PKEY_DER_MAX];
	int r;

	if (a == NULL)
		return 0;
	if ((r = keyder_encode(a, k, der)) == 0) {
		pem_write(out, KEYDER_LABEL, der, keyder_len(a));
		r = buf_error(out);
	}
	secret_wipe(der, sizeof der);
	return r;
}

/* The algorithm of a PKCS#8 form that begins and ends as the one written here, else NULL. */
const struct pkey_alg *keyder_alg(const struct buf *der)
{
	static const struct pkey_alg *const all[] = {
		&pkey_mldsa65,	 &pkey_mldsa87, &pkey_ed25519, &pkey_mlkem768,
		&pkey_mlkem1024, &pkey_x25519,	&pkey_p384,
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (der->len == keyder_len(all[i]) &&
		    memcmp(der->p, all[i]->file.p, all[i]->file.n) == 0)
			return all[i];
	return NULL;
}
