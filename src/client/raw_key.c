/* Raw keys and what they are bound to (docs/container.md, "Raw key"). */
#include <string.h>

#include "client/seal_to.h"
#include "crypto/secmem.h"

static const char salt[] = "pqx1 raw key";
static const char label[] = "pqx1 raw key"; /* with its NUL: the 00 after it */

int raw_key_check(const uint8_t *raw_key, const void *data, size_t n, struct err *e)
{
	if (n > 0 && raw_key == NULL)
		return err_set(e, PQC_EUSAGE,
			       "associated data is bound to a raw key, and there is none");
	if (n > 0 && data == NULL)
		return err_set(e, PQC_EUSAGE, "associated data of %zu bytes, but none given", n);
	return 0;
}

int raw_key_bind(const uint8_t raw_key[KEY_LEN], const void *data, size_t n, uint8_t out[KEY_LEN])
{
	uint8_t prk[PRK_LEN], hash[SHA512_LEN];
	const struct span info[] = {{label, sizeof(label)}, {hash, sizeof(hash)}};
	int r;

	if (n == 0) {
		memcpy(out, raw_key, KEY_LEN);
		return 0;
	}
	if ((r = sha512(&(struct span){data, n}, 1, hash)) == 0 &&
	    (r = hkdf_extract(salt, sizeof(salt) - 1, raw_key, KEY_LEN, prk)) == 0)
		r = hkdf_expand(prk, PRK_LEN, info, 2, out, KEY_LEN);
	secret_wipe(prk, sizeof(prk));
	return r;
}
