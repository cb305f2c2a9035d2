#include "crypto/suite.h"

#include <strings.h>

static const struct suite suites[] = {
	{
		.id = SUITE_KYBER768,
		.name = "Kyber768",
		.alias = "ML-KEM-768",
		.handshake_kem = "X25519MLKEM768",
		.hs_pk_len = 1216,
		.hs_ct_len = 1120,
		.hs_ss_len = 64,
		.rcpt_pk_len = 1216,
		.rcpt_ct_len = 1120,
		.rcpt_ss_len = 32,
		.sig_pk_len = 1984,
		.sig_len = 3373,
		.hash_len = 32,
		.sig_name = "ML-DSA-65 + Ed25519",
		.rcpt_name = "X-Wing (ML-KEM-768 + X25519)",
		.hash_name = "BLAKE3",
	},
	{
		.id = SUITE_KYBER1024,
		.name = "Kyber1024",
		.alias = "ML-KEM-1024",
		.handshake_kem = "SecP384r1MLKEM1024",
		.hs_pk_len = 1665,
		.hs_ct_len = 1665,
		.hs_ss_len = 80,
		.rcpt_pk_len = 1665,
		.rcpt_ct_len = 1665,
		.rcpt_ss_len = 80,
		.sig_pk_len = 2592,
		.sig_len = 4627,
		.hash_len = 48,
		.sig_name = "ML-DSA-87",
		.rcpt_name = "ML-KEM-1024 + P-384",
		.hash_name = "SHA-384",
	},
};

enum { SUITES = sizeof suites / sizeof suites[0] };

const struct suite *suite_by_id(unsigned id)
{
	for (size_t i = 0; i < SUITES; i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

int suite_by_name(const char *name, const struct suite **out, struct err *e)
{
	for (size_t i = 0; i < SUITES; i++) {
		const struct suite *s = &suites[i];

		if (strcasecmp(name, s->name) == 0 || strcasecmp(name, s->alias) == 0) {
			*out = s;
			return 0;
		}
	}
	return err_set(e, PQC_ECONFIG,
		       "unknown algorithm \"%s\": expected Kyber768 (also ML-KEM-768) or "
		       "Kyber1024 (also ML-KEM-1024)",
		       name);
}

int suite_check(const char *name, struct err *e)
{
	const struct suite *s;

	return suite_by_name(name, &s, e);
}
