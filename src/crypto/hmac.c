#include "crypto/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

int hmac_sha256(const void *key, size_t key_len, const struct span *in, size_t n,
		uint8_t out[HMAC_SHA256_LEN])
{
	char sha[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	size_t len = 0;
	int ok = ctx != NULL && EVP_MAC_init(ctx, key, key_len, params) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_MAC_update(ctx, in[i].p, in[i].n) == 1;
	ok = ok && EVP_MAC_final(ctx, out, &len, HMAC_SHA256_LEN) == 1 && len == HMAC_SHA256_LEN;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ok ? 0 : PQC_ECRYPTO;
}
