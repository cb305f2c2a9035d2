#include "crypto/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "crypto/keyfile.h"
#include "crypto/secmem.h"

struct identity {
	struct public_identity pub;
	struct sign_key *sig;
	struct kem_key *kem;
};

static const char public_word[] = "pqc-identity-v1";
static const char public_context[] = "pqx1 identity";

int identity_id(const struct suite *s, const uint8_t *sig_pk, uint8_t out[ID_LEN])
{
	const struct span pk = {sig_pk, s->sig_pk_len};
	uint8_t h[SHA512_LEN];
	int r;

	if ((r = sha512(&pk, 1, h)) == 0)
		memcpy(out, h, ID_LEN);
	return r;
}

/* An identity of keys that are its own from now on, also when this fails. */
static int identity_of(const struct suite *s, struct keyfile *keys, struct identity **out)
{
	struct identity *id = calloc(1, sizeof *id);
	int r = PQC_ENOMEM;

	if (id == NULL) {
		sign_free(keys->sig);
		kem_free(keys->kem);
		return r;
	}
	id->sig = keys->sig;
	id->kem = keys->kem;
	id->pub.suite = s;
	if ((r = sign_public(id->sig, id->pub.sig_pk)) != 0 ||
	    (r = kem_rcpt_public(id->kem, id->pub.kem_pk)) != 0 ||
	    (r = identity_id(s, id->pub.sig_pk, id->pub.id)) != 0) {
		identity_free(id);
		return r;
	}
	*out = id;
	return 0;
}

int identity_generate(const struct suite *s, struct identity **out)
{
	struct keyfile keys = {NULL, NULL};
	int r;

	if ((r = sign_generate(s, &keys.sig)) != 0)
		return r;
	if ((r = kem_rcpt_generate(s, &keys.kem)) != 0) {
		sign_free(keys.sig);
		return r;
	}
	return identity_of(s, &keys, out);
}

void identity_free(struct identity *id)
{
	if (id == NULL)
		return;
	sign_free(id->sig);
	kem_free(id->kem);
	free(id);
}

const struct public_identity *identity_public(const struct identity *id)
{
	return &id->pub;
}

const struct sign_key *identity_sign_key(const struct identity *id)
{
	return id->sig;
}

const struct kem_key *identity_kem_key(const struct identity *id)
{
	return id->kem;
}

int identity_encode(const struct identity *id, const char *pass, struct buf *out, struct err *e)
{
	return keyfile_encode(id->sig, id->kem, pass, out, e);
}

int identity_decode(const void *text, size_t n, const char *pass, struct identity **out,
		    struct err *e)
{
	struct keyfile keys;
	int r;

	if ((r = keyfile_decode(&(struct span){text, n}, pass, &keys, e)) != 0)
		return r;
	if ((r = identity_of(keys.sig->s, &keys, out)) != 0)
		return err_set(e, r, "key file: its public keys could not be computed");
	return 0;
}

bool identity_is_encrypted(const void *text, size_t n)
{
	return keyfile_is_encrypted(&(struct span){text, n});
}

/* ------------------------------------------------------------- public */

static bool comment_ok(const char *s, size_t n)
{
	if (n >= sizeof((struct public_identity *)NULL)->comment)
		return false;
	while (n > 0) {
		uint32_t cp;
		size_t step = utf8_next(s, n, &cp);

		if (step == 0 || utf8_deceives(cp))
			return false;
		s += step;
		n -= step;
	}
	return true;
}

/* u8 suite | sig_pk | kem_pk | signature over the bytes before */
static size_t signed_len(const struct suite *s)
{
	return 1 + s->sig_pk_len + s->rcpt_pk_len;
}

int public_identity_encode(const struct identity *id, const char *comment, struct buf *out)
{
	const struct suite *s = id->pub.suite;
	struct buf body = BUF_INIT(1 + SIG_PK_MAX + KEM_PK_MAX + SIG_MAX);
	struct span text;
	uint8_t *sig;
	int r;

	if (comment != NULL && !comment_ok(comment, strlen(comment)))
		return PQC_EUSAGE;
	buf_put_u8(&body, s->id);
	buf_put(&body, id->pub.sig_pk, s->sig_pk_len);
	buf_put(&body, id->pub.kem_pk, s->rcpt_pk_len);
	sig = buf_extend(&body, s->sig_len);
	if ((r = buf_error(&body)) != 0)
		goto out;
	text = (struct span){body.p, signed_len(s)};
	if ((r = sign_make(id->sig, public_context, &text, sig)) != 0)
		goto out;
	buf_printf(out, "%s ", public_word);
	base64_encode(out, body.p, body.len);
	if (comment != NULL && comment[0] != '\0')
		buf_printf(out, " %s", comment);
	buf_put_u8(out, '\n');
	r = buf_error(out);
out:
	buf_free(&body);
	return r;
}

/* The decoded bytes of the line. */
static int public_from_bytes(const struct buf *b, struct public_identity *out, struct err *e)
{
	const struct suite *s = b->len > 0 ? suite_by_id(b->p[0]) : NULL;
	struct span text;
	int r;

	if (s == NULL)
		return err_set(e, PQC_EINTEGRITY, "public identity: unknown suite");
	if (b->len != signed_len(s) + s->sig_len)
		return err_set(e, PQC_EINTEGRITY,
			       "public identity: %zu bytes, a %s identity has %zu", b->len, s->name,
			       signed_len(s) + s->sig_len);
	text = (struct span){b->p, signed_len(s)};
	if ((r = sign_verify(s, b->p + 1, public_context, &text, b->p + text.n)) != 0)
		return err_set(e, r, "public identity: its signature %s",
			       r == PQC_EINTEGRITY ? "is wrong: the line was edited or damaged"
						   : "could not be checked");
	out->suite = s;
	memcpy(out->sig_pk, b->p + 1, s->sig_pk_len);
	memcpy(out->kem_pk, b->p + 1 + s->sig_pk_len, s->rcpt_pk_len);
	if ((r = identity_id(s, out->sig_pk, out->id)) != 0)
		return err_set(e, r, "public identity: its id could not be computed");
	return 0;
}

int public_identity_decode(const char *line, size_t n, struct public_identity *out, struct err *e)
{
	struct buf bytes = BUF_INIT(1 + SIG_PK_MAX + KEM_PK_MAX + SIG_MAX);
	const size_t word = sizeof public_word - 1;
	struct public_identity found = {.suite = NULL};
	const char *comment;
	size_t text;
	int r;

	if (n > 0 && line[n - 1] == '\n')
		n--;
	if (n <= word || memcmp(line, public_word, word) != 0 || line[word] != ' ')
		return err_set(e, PQC_EINTEGRITY, "public identity: expected \"%s ...\"",
			       public_word);
	line += word + 1;
	n -= word + 1;
	comment = memchr(line, ' ', n);
	text = comment != NULL ? (size_t)(comment - line) : n;
	if ((r = base64_decode(&bytes, line, text)) != 0 || (r = buf_error(&bytes)) != 0) {
		r = err_set(e, PQC_EINTEGRITY, "public identity: not base64, or too long");
		goto out;
	}
	if (comment != NULL) {
		comment++;
		n -= text + 1;
		if (!comment_ok(comment, n)) {
			r = err_set(e, PQC_EINTEGRITY,
				    "public identity: the comment is longer than 127 bytes or not "
				    "printable UTF-8");
			goto out;
		}
		memcpy(found.comment, comment, n);
	}
	if ((r = public_from_bytes(&bytes, &found, e)) == 0)
		*out = found;
out:
	buf_free(&bytes);
	return r;
}
