/*
 * The component algorithms from which kem.h and sign.h are composed: keys from
 * and to raw bytes, and their operations. A secret is the shortest form of a
 * private key: the seed of ML-DSA and ML-KEM (FIPS 204 section 3.6.3, FIPS 203
 * section 7.1), else the private key itself.
 */
#ifndef PQC_CRYPTO_PKEY_H
#define PQC_CRYPTO_PKEY_H

#include <openssl/evp.h>

#include "crypto/kdf.h"

#define PKEY_SECRET_MAX 64
#define PKEY_DER_MAX	192 /* of any PKCS#8 form */

struct pkey_alg {
	const char *name;	   /* for people: "ML-DSA-65" */
	const char *type, *group;  /* of OpenSSL; group: NULL but for "EC" */
	const char *secret_param;  /* of OpenSSL */
	size_t secret_len, pk_len; /* bytes */
	size_t ct_len;		   /* KEM ciphertext */
	size_t ss_len;		   /* shared secret of a KEM or Diffie-Hellman */
	size_t sig_len;
	/* PKCS#8: what precedes the secret, in the shortest form and in that of key files, */
	struct span bare, file;
	/* where, of P-384, this and the public key follow the secret */
	struct span point;
};

extern const struct pkey_alg pkey_mldsa65, pkey_mldsa87, pkey_ed25519;
extern const struct pkey_alg pkey_mlkem768, pkey_mlkem1024, pkey_x25519, pkey_p384;

/* PQC_EINTEGRITY: no such private key (P-384 only). */
int pkey_from_secret(const struct pkey_alg *a, const uint8_t *secret, EVP_PKEY **out) MUST_CHECK;
int pkey_secret(const struct pkey_alg *a, const EVP_PKEY *k, uint8_t *secret) MUST_CHECK;
/* PQC_EINTEGRITY: no such public key. */
int pkey_from_public(const struct pkey_alg *a, const uint8_t *pk, EVP_PKEY **out) MUST_CHECK;
int pkey_public(const struct pkey_alg *a, const EVP_PKEY *k, uint8_t *pk) MUST_CHECK;

/* ctx is for ML-DSA; NULL: none. */
int pkey_sign(const struct pkey_alg *a, EVP_PKEY *k, const struct span *ctx, const struct span *msg,
	      uint8_t *sig) MUST_CHECK;
/* 0, PQC_EINTEGRITY (not valid) or PQC_ECRYPTO (could not be checked). */
int pkey_verify(const struct pkey_alg *a, const uint8_t *pk, const struct span *ctx,
		const struct span *msg, const uint8_t *sig) MUST_CHECK;

/*
 * Of ML-KEM and the hybrids (of whose struct ct_len and ss_len are enough). m is the
 * random message of ML-KEM.Encaps_internal (FIPS 203 section 6.2), 32 bytes;
 * NULL: OpenSSL draws it.
 */
int pkey_encap(const struct pkey_alg *a, EVP_PKEY *pk, const uint8_t *m, uint8_t *ct,
	       uint8_t *ss) MUST_CHECK;
/* PQC_EINTEGRITY: the ciphertext's Diffie-Hellman share is not one. */
int pkey_decap(const struct pkey_alg *a, EVP_PKEY *sk, const uint8_t *ct, uint8_t *ss) MUST_CHECK;
/* X25519 (RFC 7748), ECDH (SP 800-56A section 5.7.1.2). PQC_EINTEGRITY: peer is no valid share. */
int pkey_dh(const struct pkey_alg *a, EVP_PKEY *sk, const uint8_t *peer, uint8_t *ss) MUST_CHECK;

#endif
