/* What the keys of pkey.h do. Each operation runs under fault.h. */
#include "crypto/pkey.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "crypto/fault.h"
#include "crypto/secmem.h"

/* OSSL_PARAM has no const, but what it is given here is only read. */
static OSSL_PARAM octets(const char *name, const void *p, size_t n)
{
	union {
		const void *in;
		void *out;
	} u = {.in = p};

	return OSSL_PARAM_construct_octet_string(name, u.out, n);
}

/* One parameter, or none when p is NULL. */
static void one_param(OSSL_PARAM params[2], const char *name, const void *p, size_t n)
{
	params[0] = p != NULL ? octets(name, p, n) : OSSL_PARAM_construct_end();
	params[1] = OSSL_PARAM_construct_end();
}

int pkey_sign(const struct pkey_alg *a, EVP_PKEY *k, const struct span *ctx, const struct span *msg,
	      uint8_t *sig)
{
	EVP_PKEY_CTX *c = NULL;
	EVP_SIGNATURE *alg = NULL;
	OSSL_PARAM params[2];
	size_t len = a->sig_len;
	int r;

	one_param(params, OSSL_SIGNATURE_PARAM_CONTEXT_STRING, ctx != NULL ? ctx->p : NULL,
		  ctx != NULL ? ctx->n : 0);
	if ((r = fault_begin()) != 0)
		return r;
	r = fault_end((c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL)) != NULL &&
		      (alg = EVP_SIGNATURE_fetch(NULL, a->type, NULL)) != NULL &&
		      EVP_PKEY_sign_message_init(c, alg, params) == 1 &&
		      EVP_PKEY_sign(c, sig, &len, msg->p, msg->n) == 1 && len == a->sig_len);
	EVP_SIGNATURE_free(alg);
	EVP_PKEY_CTX_free(c);
	return r == 0 ? 0 : PQC_ECRYPTO;
}

int pkey_verify(const struct pkey_alg *a, const uint8_t *pk, const struct span *ctx,
		const struct span *msg, const uint8_t *sig)
{
	EVP_PKEY *k = NULL;
	EVP_PKEY_CTX *c = NULL;
	EVP_SIGNATURE *alg = NULL;
	OSSL_PARAM params[2];
	int r;

	if ((r = pkey_from_public(a, pk, &k)) != 0)
		return r;
	one_param(params, OSSL_SIGNATURE_PARAM_CONTEXT_STRING, ctx != NULL ? ctx->p : NULL,
		  ctx != NULL ? ctx->n : 0);
	if ((r = fault_begin()) != 0)
		goto out;
	r = fault_end((c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL)) != NULL &&
		      (alg = EVP_SIGNATURE_fetch(NULL, a->type, NULL)) != NULL &&
		      EVP_PKEY_verify_message_init(c, alg, params) == 1 &&
		      EVP_PKEY_verify(c, sig, a->sig_len, msg->p, msg->n) == 1);
out:
	EVP_SIGNATURE_free(alg);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(k);
	return r;
}

int pkey_encap(const struct pkey_alg *a, EVP_PKEY *pk, const uint8_t *m, uint8_t *ct, uint8_t *ss)
{
	EVP_PKEY_CTX *c = NULL;
	OSSL_PARAM params[2];
	size_t ct_len = a->ct_len, ss_len = a->ss_len;
	int r;

	one_param(params, OSSL_KEM_PARAM_IKME, m, 32);
	if ((r = fault_begin()) != 0)
		return r;
	r = fault_end((c = EVP_PKEY_CTX_new_from_pkey(NULL, pk, NULL)) != NULL &&
		      EVP_PKEY_encapsulate_init(c, params) == 1 &&
		      EVP_PKEY_encapsulate(c, ct, &ct_len, ss, &ss_len) == 1 &&
		      ct_len == a->ct_len && ss_len == a->ss_len);
	if (r != 0)
		secret_wipe(ss, a->ss_len);
	EVP_PKEY_CTX_free(c);
	return r;
}

int pkey_decap(const struct pkey_alg *a, EVP_PKEY *sk, const uint8_t *ct, uint8_t *ss)
{
	EVP_PKEY_CTX *c = NULL;
	size_t ss_len = a->ss_len;
	int r;

	if ((r = fault_begin()) != 0)
		return r;
	r = fault_end((c = EVP_PKEY_CTX_new_from_pkey(NULL, sk, NULL)) != NULL &&
		      EVP_PKEY_decapsulate_init(c, NULL) == 1 &&
		      EVP_PKEY_decapsulate(c, ss, &ss_len, ct, a->ct_len) == 1 &&
		      ss_len == a->ss_len);
	if (r != 0)
		secret_wipe(ss, a->ss_len);
	EVP_PKEY_CTX_free(c);
	return r;
}

int pkey_dh(const struct pkey_alg *a, EVP_PKEY *sk, const uint8_t *peer, uint8_t *ss)
{
	EVP_PKEY *pk = NULL;
	EVP_PKEY_CTX *c = NULL;
	size_t ss_len = a->ss_len;
	int r;

	if ((r = pkey_from_public(a, peer, &pk)) != 0)
		return r;
	if ((r = fault_begin()) != 0)
		goto out;
	r = fault_end((c = EVP_PKEY_CTX_new_from_pkey(NULL, sk, NULL)) != NULL &&
		      EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, pk) == 1 &&
		      EVP_PKEY_derive(c, ss, &ss_len) == 1 && ss_len == a->ss_len);
	if (r != 0)
		secret_wipe(ss, a->ss_len);
out:
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(pk);
	return r;
}
