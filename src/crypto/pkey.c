#include "crypto/pkey.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include "crypto/fault.h"
#include "crypto/secmem.h"

#ifdef PQC_PRIVATE_OPENSSL
/*
 * openssl.cnf and $OPENSSL_CONF are for the system's OpenSSL, an older one: what they ask for, a FIPS
 * provider for example, this one has not, and would do nothing at all.
 */
__attribute__((constructor)) static void leave_configuration_alone(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}
#endif

/* PKCS#8 (RFC 5958) up to the secret. The seed forms are those of RFC 9881 and RFC 9935. */
static const uint8_t der_mldsa65[] = {0x30, 0x34, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06,
				      0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
				      0x03, 0x12, 0x04, 0x22, 0x80, 0x20};
static const uint8_t der_mldsa87[] = {0x30, 0x34, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06,
				      0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
				      0x03, 0x13, 0x04, 0x22, 0x80, 0x20};
static const uint8_t der_mlkem768[] = {0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06,
				       0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
				       0x04, 0x02, 0x04, 0x42, 0x80, 0x40};
static const uint8_t der_mlkem1024[] = {0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06,
					0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
					0x04, 0x03, 0x04, 0x42, 0x80, 0x40};
/* RFC 8410 */
static const uint8_t der_ed25519[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
				      0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const uint8_t der_x25519[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
				     0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20};
/* RFC 5915, without the optional public key: to have OpenSSL compute that ... */
static const uint8_t der_p384[] = {0x30, 0x4e, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
				   0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
				   0x22, 0x04, 0x37, 0x30, 0x35, 0x02, 0x01, 0x01, 0x04, 0x30};
/* ... and with it, as every other program writes it. */
static const uint8_t der_p384_file[] = {0x30, 0x81, 0xb6, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06,
					0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
					0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x04, 0x81, 0x9e,
					0x30, 0x81, 0x9b, 0x02, 0x01, 0x01, 0x04, 0x30};
static const uint8_t der_p384_point[] = {0xa1, 0x64, 0x03, 0x62, 0x00};

_Static_assert(sizeof der_p384_file + 48 + sizeof der_p384_point + 97 <= PKEY_DER_MAX,
	       "the longest form");

#define SECRET_LAST(x) .bare = {der_##x, sizeof der_##x}, .file = {der_##x, sizeof der_##x}

const struct pkey_alg pkey_mldsa65 = {
	.name = "ML-DSA-65",
	.type = "ML-DSA-65",
	.secret_param = OSSL_PKEY_PARAM_ML_DSA_SEED,
	.secret_len = 32,
	.pk_len = 1952,
	.sig_len = 3309,
	SECRET_LAST(mldsa65),
};
const struct pkey_alg pkey_mldsa87 = {
	.name = "ML-DSA-87",
	.type = "ML-DSA-87",
	.secret_param = OSSL_PKEY_PARAM_ML_DSA_SEED,
	.secret_len = 32,
	.pk_len = 2592,
	.sig_len = 4627,
	SECRET_LAST(mldsa87),
};
const struct pkey_alg pkey_ed25519 = {
	.name = "Ed25519",
	.type = "ED25519",
	.secret_param = OSSL_PKEY_PARAM_PRIV_KEY,
	.secret_len = 32,
	.pk_len = 32,
	.sig_len = 64,
	SECRET_LAST(ed25519),
};
const struct pkey_alg pkey_mlkem768 = {
	.name = "ML-KEM-768",
	.type = "ML-KEM-768",
	.secret_param = OSSL_PKEY_PARAM_ML_KEM_SEED,
	.secret_len = 64,
	.pk_len = 1184,
	.ct_len = 1088,
	.ss_len = 32,
	SECRET_LAST(mlkem768),
};
const struct pkey_alg pkey_mlkem1024 = {
	.name = "ML-KEM-1024",
	.type = "ML-KEM-1024",
	.secret_param = OSSL_PKEY_PARAM_ML_KEM_SEED,
	.secret_len = 64,
	.pk_len = 1568,
	.ct_len = 1568,
	.ss_len = 32,
	SECRET_LAST(mlkem1024),
};
const struct pkey_alg pkey_x25519 = {
	.name = "X25519",
	.type = "X25519",
	.secret_param = OSSL_PKEY_PARAM_PRIV_KEY,
	.secret_len = 32,
	.pk_len = 32,
	.ss_len = 32,
	SECRET_LAST(x25519),
};
const struct pkey_alg pkey_p384 = {
	.name = "P-384",
	.type = "EC",
	.group = "P-384",
	.secret_param = OSSL_PKEY_PARAM_PRIV_KEY,
	.secret_len = 48,
	.pk_len = 97,
	.ss_len = 48,
	.bare = {der_p384, sizeof der_p384},
	.file = {der_p384_file, sizeof der_p384_file},
	.point = {der_p384_point, sizeof der_p384_point},
};

int pkey_from_secret(const struct pkey_alg *a, const uint8_t *secret, EVP_PKEY **out)
{
	uint8_t der[PKEY_DER_MAX];
	const uint8_t *p = der;
	EVP_PKEY *k = NULL;
	EVP_PKEY_CTX *check = NULL;
	bool ok;
	int r;

	if ((r = fault_begin()) != 0)
		return r;
	memcpy(der, a->bare.p, a->bare.n);
	memcpy(der + a->bare.n, secret, a->secret_len);
	k = d2i_AutoPrivateKey_ex(NULL, &p, (long)(a->bare.n + a->secret_len), NULL, NULL);
	ok = k != NULL && EVP_PKEY_is_a(k, a->type);
	/* Only of P-384 some byte strings are no keys: 0 and what is not below the order. */
	if (ok && a->group != NULL) {
		check = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
		ok = check != NULL && EVP_PKEY_private_check(check) == 1;
	}
	r = fault_end(ok);
	secret_wipe(der, sizeof der);
	EVP_PKEY_CTX_free(check);
	if (r != 0) {
		EVP_PKEY_free(k);
		return r;
	}
	*out = k;
	return 0;
}

int pkey_secret(const struct pkey_alg *a, const EVP_PKEY *k, uint8_t *secret)
{
	BIGNUM *n = NULL;
	size_t len = 0;
	bool ok;

	if (a->group != NULL) { /* a number */
		ok = EVP_PKEY_get_bn_param(k, a->secret_param, &n) == 1 &&
		     BN_bn2binpad(n, secret, (int)a->secret_len) == (int)a->secret_len;
		BN_clear_free(n);
	} else {
		ok = EVP_PKEY_get_octet_string_param(k, a->secret_param, secret, a->secret_len,
						     &len) == 1 &&
		     len == a->secret_len;
	}
	return ok ? 0 : PQC_ECRYPTO;
}

int pkey_from_public(const struct pkey_alg *a, const uint8_t *pk, EVP_PKEY **out)
{
	union {
		const uint8_t *in;
		uint8_t *out;
	} bytes = {.in = pk};
	char group[16] = "";
	OSSL_PARAM params[3], *end = params;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *k = NULL;
	int r;

	if (a->group != NULL) {
		/* SEC 1 section 2.3.4 knows more forms of a point than the one used here. */
		if (pk[0] != POINT_CONVERSION_UNCOMPRESSED)
			return PQC_EINTEGRITY;
		memcpy(group, a->group, strlen(a->group) + 1);
		*end++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	}
	*end++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, bytes.out, a->pk_len);
	*end = OSSL_PARAM_construct_end();

	if ((r = fault_begin()) != 0)
		return r;
	ctx = EVP_PKEY_CTX_new_from_name(NULL, a->type, NULL);
	r = fault_end(ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
		      EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, params) == 1);
	EVP_PKEY_CTX_free(ctx);
	if (r != 0) {
		EVP_PKEY_free(k);
		return r;
	}
	*out = k;
	return 0;
}

int pkey_public(const struct pkey_alg *a, const EVP_PKEY *k, uint8_t *pk)
{
	size_t len = 0;

	if (EVP_PKEY_get_octet_string_param(k, OSSL_PKEY_PARAM_PUB_KEY, pk, a->pk_len, &len) != 1 ||
	    len != a->pk_len)
		return PQC_ECRYPTO;
	return 0;
}
