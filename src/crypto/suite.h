/*
 * The two suites (docs/container.md, "Suites"). A suite fixes every
 * algorithm; nothing is negotiated piecemeal.
 */
#ifndef PQC_CRYPTO_SUITE_H
#define PQC_CRYPTO_SUITE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SUITE_KYBER768 = 1, SUITE_KYBER1024 = 2 };

#define ID_LEN	   32 /* identity id: SHA-512(public signature key)[0..32) */
#define KEY_LEN	   32 /* DEK, K_part, KEK */
#define HASH_MAX   48 /* content tree hash: BLAKE3 32, SHA-384 48 */
#define SIG_PK_MAX 2592
#define SIG_MAX	   4627
#define KEM_PK_MAX 1665 /* handshake and recipient KEM alike */
#define KEM_CT_MAX 1665
#define KEM_SS_MAX 80

struct suite {
	uint8_t id;
	const char *name, *alias;  /* "Kyber768", "ML-KEM-768" */
	const char *handshake_kem; /* OpenSSL name: "X25519MLKEM768" */
	size_t hs_pk_len, hs_ct_len, hs_ss_len;
	size_t rcpt_pk_len, rcpt_ct_len, rcpt_ss_len; /* recipient KEM */
	size_t sig_pk_len, sig_len;
	size_t hash_len;
	const char *sig_name, *rcpt_name, *hash_name; /* for people */
};

/* NULL when unknown. */
const struct suite *suite_by_id(unsigned id);
/* Name or alias, case-insensitive. PQC_ECONFIG with the accepted values in e. */
int suite_by_name(const char *name, const struct suite **out, struct err *e) MUST_CHECK;
/* Is there one of this name? For struct opt.check. */
int suite_check(const char *name, struct err *e) MUST_CHECK;

#endif
