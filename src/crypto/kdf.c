#include "crypto/kdf.h"

#include <string.h>

#include <blake3.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/secmem.h"

static int digest(const EVP_MD *md, const struct span *in, size_t n, uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, in[i].p, in[i].n) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : PQC_ECRYPTO;
}

int sha512(const struct span *in, size_t n, uint8_t out[SHA512_LEN])
{
	return digest(EVP_sha512(), in, n, out);
}

/* OpenSSL's context under a name of ours: nobody above knows of OpenSSL. */
static EVP_MD_CTX *context(struct sha256 *s)
{
	return (EVP_MD_CTX *)(void *)s;
}

struct sha256 *sha256_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1)
		return (struct sha256 *)(void *)ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

void sha256_free(struct sha256 *s)
{
	EVP_MD_CTX_free(context(s));
}

int sha256_add(struct sha256 *s, const void *p, size_t n)
{
	return EVP_DigestUpdate(context(s), p, n) == 1 ? 0 : PQC_ECRYPTO;
}

int sha256_end(struct sha256 *s, uint8_t out[SHA256_LEN])
{
	return EVP_DigestFinal_ex(context(s), out, NULL) == 1 ? 0 : PQC_ECRYPTO;
}

int hmac512_256(const uint8_t key[KEY_LEN], const struct span *in, size_t n, uint8_t out[32])
{
	char sha[] = "SHA512";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	uint8_t full[SHA512_LEN];
	size_t len = 0;
	int ok = ctx != NULL && EVP_MAC_init(ctx, key, KEY_LEN, params) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_MAC_update(ctx, in[i].p, in[i].n) == 1;
	ok = ok && EVP_MAC_final(ctx, full, &len, sizeof full) == 1;
	if (ok)
		memcpy(out, full, 32);
	secret_wipe(full, sizeof full);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ok ? 0 : PQC_ECRYPTO;
}

static int derive(const char *kdf_name, const OSSL_PARAM *params, void *out, size_t out_len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int ok = ctx != NULL && EVP_KDF_derive(ctx, out, out_len, params) == 1;

	if (!ok)
		secret_wipe(out, out_len);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? 0 : PQC_ECRYPTO;
}

/* OSSL_PARAM has no const, but what it is given here is only read. */
static OSSL_PARAM octets(const char *name, const void *p, size_t n)
{
	union {
		const void *in;
		void *out;
	} u = {.in = n > 0 ? p : ""};

	return OSSL_PARAM_construct_octet_string(name, u.out, n);
}

int hkdf_extract(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len,
		 uint8_t prk[PRK_LEN])
{
	char sha[] = "SHA512";
	int mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha, 0),
		octets(OSSL_KDF_PARAM_KEY, ikm, ikm_len),
		octets(OSSL_KDF_PARAM_SALT, salt, salt_len),
		OSSL_PARAM_construct_end(),
	};

	return derive("HKDF", params, prk, PRK_LEN);
}

int hkdf_expand(const void *prk, size_t prk_len, const struct span *info, size_t n, void *out,
		size_t out_len)
{
	char sha[] = "SHA512";
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[3 + HKDF_SPANS_MAX + 1] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha, 0),
		octets(OSSL_KDF_PARAM_KEY, prk, prk_len),
	};
	size_t used = 3;

	if (n > HKDF_SPANS_MAX)
		return PQC_ECRYPTO;
	/* EVP_KDF-HKDF(7): several "info" parameters are concatenated. */
	for (size_t i = 0; i < n; i++)
		if (info[i].n > 0)
			params[used++] = octets(OSSL_KDF_PARAM_INFO, info[i].p, info[i].n);
	params[used] = OSSL_PARAM_construct_end();
	return derive("HKDF", params, out, out_len);
}

bool argon2_in_bounds(const struct argon2_params *a)
{
	return a->m_kib >= ARGON2_M_MIN && a->m_kib <= ARGON2_M_MAX && a->t >= 1 &&
	       a->t <= ARGON2_T_MAX && a->p >= 1 && a->p <= ARGON2_P_MAX;
}

int argon2id(const struct argon2_params *a, const void *pass, size_t pass_len,
	     const uint8_t salt[32], uint8_t out[KEY_LEN])
{
	struct argon2_params v = *a;
	OSSL_PARAM params[] = {
		octets(OSSL_KDF_PARAM_PASSWORD, pass, pass_len),
		octets(OSSL_KDF_PARAM_SALT, salt, 32),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_MEMCOST, &v.m_kib),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ITER, &v.t),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_LANES, &v.p),
		OSSL_PARAM_construct_end(),
	};

	if (!argon2_in_bounds(a))
		return PQC_EINTEGRITY;
	/* With parameters in bounds, memory is what can be missing. */
	return derive("ARGON2ID", params, out, KEY_LEN) == 0 ? 0 : PQC_ENOMEM;
}

void blake3(const struct span *in, size_t n, uint8_t out[32])
{
	blake3_hasher h;

	blake3_hasher_init(&h);
	for (size_t i = 0; i < n; i++)
		blake3_hasher_update(&h, in[i].p, in[i].n);
	blake3_hasher_finalize(&h, out, 32);
}

int tree_hash(const struct suite *s, const struct span *in, size_t n, uint8_t *out)
{
	if (s->id == SUITE_KYBER1024)
		return digest(EVP_sha384(), in, n, out);
	blake3(in, n, out);
	return 0;
}
