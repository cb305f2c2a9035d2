#include "crypto/keyfile.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include "crypto/keyder.h"
#include "crypto/pem.h"
#include "crypto/secmem.h"

static const char locked_label[] = "PQC ENCRYPTED PRIVATE KEY";

#define PARTS_MAX 4

/* The component keys of a suite in the order of the file. */
struct parts {
	const struct pkey_alg *alg[PARTS_MAX];
	size_t n;
};

static void parts_add(struct parts *p, const struct pkey_alg *a)
{
	if (a != NULL)
		p->alg[p->n++] = a;
}

static struct parts parts_of(const struct suite *s)
{
	struct parts p = {.n = 0};

	parts_add(&p, sign_parts_of(s)->pq);
	parts_add(&p, sign_parts_of(s)->classic);
	parts_add(&p, rcpt_kem_of(s)->pq);
	parts_add(&p, rcpt_kem_of(s)->classic);
	return p;
}

/* ------------------------------------------------------------- plain */

static int encode_plain(const struct sign_key *sig, const struct kem_key *kem, struct buf *out)
{
	const struct sign_parts *s = sign_parts_of(sig->s);
	const struct rcpt_kem *m = rcpt_kem_of(kem->s);
	int r;

	if ((r = keyder_put_pem(out, s->pq, sig->pq)) != 0 ||
	    (r = keyder_put_pem(out, s->classic, sig->classic)) != 0 ||
	    (r = keyder_put_pem(out, m->pq, kem->pq)) != 0)
		return r;
	return keyder_put_pem(out, m->classic, kem->classic);
}

/* The blocks in file order; the suite is that of the first. */
struct secrets {
	const struct suite *suite;
	uint8_t der[PARTS_MAX][PKEY_DER_MAX];
	uint8_t again[PKEY_DER_MAX];
};

static const uint8_t *secret_at(const struct secrets *in, size_t i)
{
	return in->der[i] + parts_of(in->suite).alg[i]->file.n;
}

static const struct suite *suite_of_first(const struct pkey_alg *a)
{
	for (unsigned id = SUITE_KYBER768; id <= SUITE_KYBER1024; id++)
		if (a != NULL && a == sign_parts_of(suite_by_id(id))->pq)
			return suite_by_id(id);
	return NULL;
}

static int read_block(struct pem *in, size_t i, struct secrets *out, struct err *e)
{
	struct buf der = BUF_INIT(PKEY_DER_MAX);
	const struct pkey_alg *found, *expected;
	int r;

	if ((r = pem_read(in, KEYDER_LABEL, &der)) != 0) {
		err_set(e, r, "key file: block %zu is not a whole PEM \"%s\"", i + 1, KEYDER_LABEL);
		goto out;
	}
	found = keyder_alg(&der);
	if (i == 0 && (out->suite = suite_of_first(found)) == NULL) {
		r = err_set(e, PQC_EINTEGRITY,
			    "key file: expected an ML-DSA-65 or ML-DSA-87 seed first, found %s",
			    found != NULL ? found->name : "another kind of key");
		goto out;
	}
	expected = parts_of(out->suite).alg[i];
	if (found != expected) {
		r = err_set(e, PQC_EINTEGRITY,
			    "key file: block %zu of a %s key must hold %s, found %s", i + 1,
			    out->suite->name, expected->name,
			    found != NULL ? found->name : "another kind of key");
		goto out;
	}
	memcpy(out->der[i], der.p, der.len);
out:
	buf_free(&der);
	return r;
}

static int read_blocks(const struct span *text, struct secrets *out, struct err *e)
{
	struct pem in = {text->p, (const char *)text->p + text->n};
	size_t i = 0;
	int r;

	do {
		if ((r = read_block(&in, i, out, e)) != 0)
			return r;
		i++;
	} while (i < parts_of(out->suite).n);
	if (!pem_at_end(&in))
		return err_set(e, PQC_EINTEGRITY, "key file: something follows the last key");
	return 0;
}

/* A P-384 block also has the public key: it must be that of the private key. */
static int check_last(struct secrets *in, const struct kem_key *kem)
{
	const struct parts parts = parts_of(in->suite);
	const struct pkey_alg *last = parts.alg[parts.n - 1];
	int r = keyder_encode(last, kem->classic, in->again);

	if (r == 0 && !secret_equal(in->again, in->der[parts.n - 1], keyder_len(last)))
		r = PQC_EINTEGRITY;
	return r;
}

static int keys_of(struct secrets *in, struct keyfile *out)
{
	const size_t kem = parts_of(in->suite).n - 2; /* the last two are the recipient KEM's */
	int r;

	if ((r = sign_from_secrets(in->suite, secret_at(in, 0), secret_at(in, 1), &out->sig)) !=
		    0 ||
	    (r = kem_rcpt_from_secrets(in->suite, secret_at(in, kem), secret_at(in, kem + 1),
				       &out->kem)) != 0 ||
	    (r = check_last(in, out->kem)) != 0) {
		sign_free(out->sig);
		kem_free(out->kem);
		*out = (struct keyfile){NULL, NULL};
	}
	return r;
}

static int decode_plain(const struct span *text, struct keyfile *out, struct err *e)
{
	struct secrets *in = secret_alloc(sizeof *in);
	int r;

	if (in == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((r = read_blocks(text, in, e)) == 0 && (r = keys_of(in, out)) != 0)
		err_set(e, r, "key file: one of the keys cannot be used");
	secret_free(in, sizeof *in);
	return r;
}

/* --------------------------------------------------- under a passphrase */

/*
 * u8 version | u32 m_kib | u32 t | u32 p | salt[32] | Cobblestone-256 message
 * of the plain text under Argon2id(passphrase, salt), with the context
 * "pqx1 keyfile" | 00 | all before the message.
 */
#define LOCK_VERSION 1
#define LOCK_HEAD    (1 + 12 + 32)
static const char lock_label[] = "pqx1 keyfile";

struct lock {
	struct argon2_params argon2;
	uint8_t context[sizeof lock_label + LOCK_HEAD]; /* ends with the head */
	uint8_t key[KEY_LEN];
};

static uint8_t *lock_head(struct lock *l)
{
	return l->context + sizeof lock_label;
}

/* Read the head and derive the key from the passphrase. */
static int lock_key(struct lock *l, const uint8_t head[LOCK_HEAD], const char *pass, struct err *e)
{
	int r;

	memcpy(l->context, lock_label, sizeof lock_label);
	memcpy(lock_head(l), head, LOCK_HEAD);
	l->argon2 =
		(struct argon2_params){be32_get(head + 1), be32_get(head + 5), be32_get(head + 9)};
	if (!argon2_in_bounds(&l->argon2))
		return err_set(e, PQC_EINTEGRITY,
			       "key file: Argon2id with %u KiB, %u passes, %u lanes is out of "
			       "bounds (8 MiB..1 GiB, 1..%d, 1..%d)",
			       l->argon2.m_kib, l->argon2.t, l->argon2.p, ARGON2_T_MAX,
			       ARGON2_P_MAX);
	if ((r = argon2id(&l->argon2, pass, strlen(pass), head + LOCK_HEAD - 32, l->key)) != 0)
		return err_set(e, r, "key file: Argon2id needs %u KiB of memory", l->argon2.m_kib);
	return 0;
}

static int lock_seal(const struct lock *l, const struct buf *plain, struct buf *body)
{
	const struct span context = {l->context, sizeof l->context};
	const struct span in = {plain->p, plain->len};
	struct aead *a = aead_new();
	uint8_t salt[COB_SALT], *out;
	int r = PQC_ENOMEM;

	if (a == NULL)
		return r;
	buf_put(body, l->context + sizeof lock_label, LOCK_HEAD);
	out = buf_extend(body, cob_sealed_len(plain->len));
	if (out != NULL && (r = random_bytes(salt, sizeof salt)) == 0)
		r = cob_seal(a, l->key, salt, &context, &in, out);
	aead_free(a);
	return r;
}

static int encode_locked(const struct buf *plain, const char *pass, struct buf *out, struct err *e)
{
	const struct argon2_params params = ARGON2_DEFAULT;
	struct lock *l = secret_alloc(sizeof *l);
	struct buf body = BUF_INIT(KEYFILE_MAX);
	uint8_t head[LOCK_HEAD] = {LOCK_VERSION};
	int r;

	if (l == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	be32_put(head + 1, params.m_kib);
	be32_put(head + 5, params.t);
	be32_put(head + 9, params.p);
	if ((r = random_bytes(head + LOCK_HEAD - 32, 32)) != 0 ||
	    (r = lock_key(l, head, pass, e)) != 0 || (r = lock_seal(l, plain, &body)) != 0)
		goto out;
	pem_write(out, locked_label, body.p, body.len);
	r = buf_error(out);
out:
	buf_free(&body);
	secret_free(l, sizeof *l);
	return r;
}

/* out has room for the plain text. */
static int lock_open(const struct lock *l, const struct span *sealed, uint8_t *out, struct err *e)
{
	const struct span context = {l->context, sizeof l->context};
	struct aead *a = aead_new();
	int r;

	if (a == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	r = cob_key_fits(l->key, &context, sealed->p);
	if (r == PQC_EINTEGRITY)
		r = err_set(e, PQC_EPASSPHRASE, "wrong passphrase, or the key file is damaged");
	else if (r == 0 && (r = cob_open(a, l->key, &context, sealed, out)) == PQC_EINTEGRITY)
		err_set(e, r, "key file: damaged (the passphrase is right)");
	else if (r != 0)
		err_set(e, r, "key file: the cryptographic library failed");
	aead_free(a);
	return r;
}

static int decode_locked(const struct span *text, const char *pass, struct keyfile *out,
			 struct err *e)
{
	struct pem in = {text->p, (const char *)text->p + text->n};
	struct lock *l = secret_alloc(sizeof *l);
	struct buf body = BUF_INIT(KEYFILE_MAX), plain = BUF_INIT(KEYFILE_MAX);
	struct span sealed;
	uint8_t *out_text;
	size_t n;
	int r;

	if (l == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((r = pem_read(&in, locked_label, &body)) != 0 || !pem_at_end(&in)) {
		r = err_set(e, r != 0 ? r : PQC_EINTEGRITY,
			    "key file: expected one whole PEM \"%s\" and nothing else",
			    locked_label);
		goto out;
	}
	if (body.len < LOCK_HEAD || body.p[0] != LOCK_VERSION ||
	    cob_opened_len(body.len - LOCK_HEAD, &n) != 0 || n == 0) {
		r = err_set(e, PQC_EINTEGRITY, "key file: cut short, or of an unknown version");
		goto out;
	}
	sealed = (struct span){body.p + LOCK_HEAD, body.len - LOCK_HEAD};
	if ((out_text = buf_extend(&plain, n)) == NULL) {
		r = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = lock_key(l, body.p, pass, e)) != 0 ||
	    (r = lock_open(l, &sealed, out_text, e)) != 0)
		goto out;
	r = decode_plain(&(struct span){plain.p, plain.len}, out, e);
out:
	buf_free(&plain);
	buf_free(&body);
	secret_free(l, sizeof *l);
	return r;
}

/* -------------------------------------------------------------- both */

bool keyfile_is_encrypted(const struct span *text)
{
	struct pem in = {text->p, (const char *)text->p + text->n};

	return pem_peek(&in, locked_label);
}

int keyfile_encode(const struct sign_key *sig, const struct kem_key *kem, const char *pass,
		   struct buf *out, struct err *e)
{
	struct buf plain = BUF_INIT(KEYFILE_MAX);
	int r;

	if (pass == NULL) {
		r = encode_plain(sig, kem, out);
	} else if (pass[0] == '\0') {
		return err_set(e, PQC_EPASSPHRASE, "an empty passphrase protects nothing");
	} else {
		if ((r = encode_plain(sig, kem, &plain)) == 0)
			r = encode_locked(&plain, pass, out, e);
		buf_free(&plain);
	}
	if (r != 0 && (e == NULL || e->code != r))
		err_set(e, r, "the key could not be written as text");
	return r;
}

int keyfile_decode(const struct span *text, const char *pass, struct keyfile *out, struct err *e)
{
	*out = (struct keyfile){NULL, NULL};
	if (text->n > KEYFILE_MAX)
		return err_set(e, PQC_EINTEGRITY, "key file: %zu bytes, a key has at most %d",
			       text->n, KEYFILE_MAX);
	if (!keyfile_is_encrypted(text))
		return decode_plain(text, out, e);
	if (pass == NULL)
		return err_set(e, PQC_EPASSPHRASE,
			       "the key file is encrypted and no passphrase was given");
	return decode_locked(text, pass, out, e);
}
