/* The recipients' KEM by itself. */
#include "crypto/kem_alone.h"
#include "lib/lib.h"

static int suite_of(const char *name, const struct suite **s, struct err *e)
{
	int rc = lib_suite(name, s, e);

	if (rc == 0 && *s == NULL)
		*s = suite_by_id(SUITE_KYBER768);
	return rc;
}

int pqc_kem_generate(const char *suite, struct pqc_buffer *public_key,
		     struct pqc_buffer *private_key, struct pqc_error *e)
{
	struct buf pk = BUF_INIT(KEM_PK_MAX), sk = BUF_INIT(KEM_TEXT_MAX);
	const struct suite *s;
	struct err err = {0};
	int rc;

	if (public_key != NULL)
		*public_key = (struct pqc_buffer){.data = NULL};
	if (private_key != NULL)
		*private_key = (struct pqc_buffer){.data = NULL};
	if ((rc = lib_need(public_key, "public_key", &err)) != 0 ||
	    (rc = lib_need(private_key, "private_key", &err)) != 0)
		goto out;
	if ((rc = suite_of(suite, &s, &err)) != 0 ||
	    (rc = kem_alone_generate(s, &pk, &sk, &err)) != 0 ||
	    (rc = lib_give(&pk, public_key, &err)) != 0)
		goto out;
	if ((rc = lib_give(&sk, private_key, &err)) != 0)
		pqc_buffer_free(public_key);
out:
	buf_free(&pk);
	buf_free(&sk);
	return lib_done(rc, &err, e);
}

int pqc_kem_encapsulate(const char *suite, const void *public_key, size_t size,
			struct pqc_buffer *ciphertext, uint8_t shared_secret[PQC_KEY_SIZE],
			struct pqc_error *e)
{
	const struct span pk = {public_key, size};
	struct buf ct = BUF_INIT(KEM_CT_MAX);
	const struct suite *s;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(ciphertext, "ciphertext", &err)) != 0)
		goto out;
	*ciphertext = (struct pqc_buffer){.data = NULL};
	if ((rc = lib_need(public_key, "public_key", &err)) == 0 &&
	    (rc = lib_need(shared_secret, "shared_secret", &err)) == 0 &&
	    (rc = suite_of(suite, &s, &err)) == 0 &&
	    (rc = kem_alone_encap(s, &pk, &ct, shared_secret, &err)) == 0)
		rc = lib_give(&ct, ciphertext, &err);
out:
	buf_free(&ct);
	return lib_done(rc, &err, e);
}

int pqc_kem_decapsulate(const char *suite, const void *private_key, size_t private_size,
			const void *ciphertext, size_t size, uint8_t shared_secret[PQC_KEY_SIZE],
			struct pqc_error *e)
{
	const struct span sk = {private_key, private_size}, ct = {ciphertext, size};
	const struct suite *s;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(private_key, "private_key", &err)) == 0 &&
	    (rc = lib_need(ciphertext, "ciphertext", &err)) == 0 &&
	    (rc = lib_need(shared_secret, "shared_secret", &err)) == 0 &&
	    (rc = suite_of(suite, &s, &err)) == 0)
		rc = kem_alone_decap(s, &sk, &ct, shared_secret, &err);
	return lib_done(rc, &err, e);
}
