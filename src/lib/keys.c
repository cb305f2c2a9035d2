/* Private identities, and key-encryption keys. */
#include <stdlib.h>
#include <string.h>

#include "crypto/secmem.h"
#include "lib/lib.h"
#include "server/kek_file.h"

#define KEY_TEXT_MAX 16384 /* bytes of a private key file */

/* Wrap id, which is taken over also when that fails. */
static int wrap(struct identity *id, struct pqc_identity **out, struct err *e)
{
	struct pqc_identity *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		identity_free(id);
		return err_set(e, PQC_ENOMEM, "out of memory");
	}
	atomic_init(&w->refs, 1);
	w->id = id;
	*out = w;
	return 0;
}

struct pqc_identity *lib_identity_ref(const struct pqc_identity *id)
{
	/* Who may read it may also hold it: the count is no part of what it says. */
	struct pqc_identity *held = (struct pqc_identity *)(uintptr_t)id;

	if (held != NULL)
		atomic_fetch_add(&held->refs, 1);
	return held;
}

void pqc_identity_free(struct pqc_identity *id)
{
	if (id == NULL || atomic_fetch_sub(&id->refs, 1) != 1)
		return;
	identity_free(id->id);
	free(id);
}

int pqc_identity_generate(const char *suite, struct pqc_identity **out, struct pqc_error *e)
{
	const struct suite *s;
	struct identity *id = NULL;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_suite(suite, &s, &err)) != 0)
		goto out;
	if ((rc = identity_generate(s != NULL ? s : suite_by_id(SUITE_KYBER768), &id)) != 0)
		err_set(&err, rc, "the keys could not be made");
	else
		rc = wrap(id, out, &err);
out:
	return lib_done(rc, &err, e);
}

int pqc_identity_load(const char *path, const char *passphrase, struct pqc_identity **out,
		      struct pqc_error *e)
{
	struct identity *id = NULL;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(path, "path", &err)) == 0 &&
	    (rc = identity_load(path, passphrase, &id, &err)) == 0)
		rc = wrap(id, out, &err);
out:
	return lib_done(rc, &err, e);
}

int pqc_identity_parse(const void *text, size_t size, const char *passphrase,
		       struct pqc_identity **out, struct pqc_error *e)
{
	struct identity *id = NULL;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(text, "text", &err)) == 0 &&
	    (rc = identity_decode(text, size, passphrase, &id, &err)) == 0)
		rc = wrap(id, out, &err);
out:
	return lib_done(rc, &err, e);
}

int pqc_identity_format(const struct pqc_identity *id, const char *passphrase,
			struct pqc_buffer *out, struct pqc_error *e)
{
	struct buf text = BUF_INIT(KEY_TEXT_MAX);
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = (struct pqc_buffer){.data = NULL};
	if ((rc = lib_need(id, "id", &err)) == 0 &&
	    (rc = identity_encode(id->id, passphrase, &text, &err)) == 0)
		rc = lib_give(&text, out, &err);
out:
	buf_free(&text);
	return lib_done(rc, &err, e);
}

int pqc_identity_save(const struct pqc_identity *id, const char *path, const char *passphrase,
		      const char *comment, struct pqc_error *e)
{
	struct err err = {0};
	int rc;

	if ((rc = lib_need(id, "id", &err)) == 0 && (rc = lib_need(path, "path", &err)) == 0)
		rc = identity_save(id->id, path, passphrase, comment, &err);
	return lib_done(rc, &err, e);
}

int pqc_kek_load(const char *path, struct pqc_kek *out, struct pqc_error *e)
{
	struct kek k = {.version = 0};
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	memset(out, 0, sizeof(*out));
	if ((rc = lib_need(path, "path", &err)) == 0 && (rc = kek_load(path, &k, &err)) == 0) {
		memcpy(out->id, k.id, sizeof(out->id));
		out->version = k.version;
		memcpy(out->key, k.key, sizeof(out->key));
	}
	secret_wipe(&k, sizeof(k));
out:
	return lib_done(rc, &err, e);
}
