/* The five kinds of stanza: how each wraps the DEK and how each is opened. */
#include <string.h>

#include "base/buf.h"
#include "container/keyblock_impl.h"
#include "crypto/secmem.h"

#define SALT_LEN  32
#define ARGON_LEN 12 /* m, t, p */
#define BODY_MAX  (ID_LEN + KEM_CT_MAX + WRAP_LEN)

static int hash(const void *p, size_t n, uint8_t out[SHA512_LEN])
{
	return sha512(&(struct span){p, n}, 1, out);
}

/* Type, ikm and the two hashes of the document's table; h1 over a[an], h2 over b[bn]. */
static int wrapping_set(struct wrapping *w, uint16_t type, const struct span *ikm,
			const struct span *a, const struct span *b)
{
	int r;

	w->type = type;
	w->ikm = *ikm;
	if ((r = hash(a->p, a->n, w->h1)) != 0)
		return r;
	return hash(b->p, b->n, w->h2);
}

/* The numbers suites and recipient stanza types have are the same, by design. */
static uint16_t recipient_type(const struct suite *s)
{
	return s->id == SUITE_KYBER768 ? STANZA_XWING : STANZA_MLKEM1024_P384;
}

/* ### Recipients: id | ct | wrap ### */

static int recipient_wrapping(struct wrapping *w, const struct public_identity *who,
			      const uint8_t *ct, const uint8_t *ss)
{
	const struct suite *s = who->suite;

	return wrapping_set(w, recipient_type(s), &(struct span){ss, s->rcpt_ss_len},
			    &(struct span){who->kem_pk, s->rcpt_pk_len},
			    &(struct span){ct, s->rcpt_ct_len});
}

int keyblock_add_recipient(struct keyblock *kb, const struct pqx_header *h,
			   const struct pqx_keys *k, const struct public_identity *to)
{
	const struct suite *s = to->suite;
	uint8_t body[BODY_MAX], ss[KEM_SS_MAX];
	uint8_t *ct = body + ID_LEN;
	struct wrapping w;
	int r;

	memcpy(body, to->id, ID_LEN);
	if ((r = kem_rcpt_encap(s, to->kem_pk, ct, ss)) != 0)
		goto out;
	if ((r = recipient_wrapping(&w, to, ct, ss)) != 0)
		goto out;
	if ((r = dek_wrap(h, &w, k->dek, ct + s->rcpt_ct_len)) != 0)
		goto out;
	/* One stanza for each recipient: adding one again replaces it. */
	if ((r = keyblock_remove_recipient(kb, to->id)) != 0 && r != PQC_ENOTFOUND)
		goto out;
	r = keyblock_append(kb, h, recipient_type(s), body);
out:
	secret_wipe(ss, sizeof(ss));
	return r;
}

static int open_recipient(const struct stanza *st, const struct pqx_header *h,
			  const struct identity *id, uint8_t dek[KEY_LEN])
{
	const struct public_identity *who = identity_public(id);
	const uint8_t *ct = st->body + ID_LEN;
	uint8_t ss[KEM_SS_MAX];
	struct wrapping w;
	int r;

	if ((r = kem_rcpt_decap(identity_kem_key(id), ct, ss)) != 0)
		goto out;
	if ((r = recipient_wrapping(&w, who, ct, ss)) != 0)
		goto out;
	r = dek_unwrap(h, &w, ct + who->suite->rcpt_ct_len, dek);
out:
	secret_wipe(ss, sizeof(ss));
	return r;
}

/* ### KEK: kek_id | u32 version | salt | wrap ### */

#define KEK_NAME_LEN (KEK_ID_LEN + 4) /* what h1 is over */

static int kek_wrapping(struct wrapping *w, const struct kek *kek, const uint8_t *body)
{
	return wrapping_set(w, STANZA_KEK, &(struct span){kek->key, KEY_LEN},
			    &(struct span){body, KEK_NAME_LEN},
			    &(struct span){body + KEK_NAME_LEN, SALT_LEN});
}

static void kek_name(const struct kek *kek, uint8_t *out)
{
	memcpy(out, kek->id, KEK_ID_LEN);
	be32_put(out + KEK_ID_LEN, kek->version);
}

int keyblock_add_kek(struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k,
		     const struct kek *kek)
{
	uint8_t body[KEK_NAME_LEN + SALT_LEN + WRAP_LEN];
	struct wrapping w;
	int r;

	kek_name(kek, body);
	if ((r = random_bytes(body + KEK_NAME_LEN, SALT_LEN)) != 0)
		return r;
	if ((r = kek_wrapping(&w, kek, body)) != 0)
		return r;
	if ((r = dek_wrap(h, &w, k->dek, body + KEK_NAME_LEN + SALT_LEN)) != 0)
		return r;
	return keyblock_append(kb, h, STANZA_KEK, body);
}

static int open_kek(const struct stanza *st, const struct pqx_header *h, const struct kek *kek,
		    uint8_t dek[KEY_LEN])
{
	struct wrapping w;
	int r;

	if ((r = kek_wrapping(&w, kek, st->body)) != 0)
		return r;
	return dek_unwrap(h, &w, st->body + KEK_NAME_LEN + SALT_LEN, dek);
}

/* ### Passphrase: u32 m | u32 t | u32 p | salt | wrap ### */

/* key gets what Argon2id yields and must be wiped by the caller. */
static int passphrase_wrapping(struct wrapping *w, const char *pass, const uint8_t *body,
			       uint8_t key[KEY_LEN])
{
	const struct argon2_params a = {be32_get(body), be32_get(body + 4), be32_get(body + 8)};
	const uint8_t *salt = body + ARGON_LEN;
	int r;

	if ((r = argon2id(&a, pass, strlen(pass), salt, key)) != 0)
		return r;
	return wrapping_set(w, STANZA_PASSPHRASE, &(struct span){key, KEY_LEN},
			    &(struct span){body, ARGON_LEN}, &(struct span){salt, SALT_LEN});
}

int keyblock_add_passphrase(struct keyblock *kb, const struct pqx_header *h,
			    const struct pqx_keys *k, const char *pass,
			    const struct argon2_params *a)
{
	uint8_t body[ARGON_LEN + SALT_LEN + WRAP_LEN], key[KEY_LEN];
	struct wrapping w;
	int r;

	if (!argon2_in_bounds(a) || pass[0] == '\0' || kb->count != 0)
		return PQC_EUSAGE;
	be32_put(body, a->m_kib);
	be32_put(body + 4, a->t);
	be32_put(body + 8, a->p);
	if ((r = random_bytes(body + ARGON_LEN, SALT_LEN)) != 0)
		goto out;
	if ((r = passphrase_wrapping(&w, pass, body, key)) != 0)
		goto out;
	if ((r = dek_wrap(h, &w, k->dek, body + ARGON_LEN + SALT_LEN)) != 0)
		goto out;
	r = keyblock_append(kb, h, STANZA_PASSPHRASE, body);
out:
	secret_wipe(key, sizeof(key));
	return r;
}

static int open_passphrase(const struct stanza *st, const struct pqx_header *h, const char *pass,
			   uint8_t dek[KEY_LEN])
{
	uint8_t key[KEY_LEN];
	struct wrapping w;
	int r;

	if ((r = passphrase_wrapping(&w, pass, st->body, key)) == 0)
		r = dek_unwrap(h, &w, st->body + ARGON_LEN + SALT_LEN, dek);
	secret_wipe(key, sizeof(key));
	return r;
}

/* ### Raw key: salt | wrap ### */

static int raw_wrapping(struct wrapping *w, const uint8_t key[KEY_LEN], const uint8_t *body)
{
	return wrapping_set(w, STANZA_RAW, &(struct span){key, KEY_LEN}, &(struct span){"", 0},
			    &(struct span){body, SALT_LEN});
}

int keyblock_add_raw(struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k,
		     const uint8_t key[KEY_LEN])
{
	uint8_t body[SALT_LEN + WRAP_LEN];
	struct wrapping w;
	int r;

	if ((r = random_bytes(body, SALT_LEN)) != 0)
		return r;
	if ((r = raw_wrapping(&w, key, body)) != 0)
		return r;
	if ((r = dek_wrap(h, &w, k->dek, body + SALT_LEN)) != 0)
		return r;
	return keyblock_append(kb, h, STANZA_RAW, body);
}

static int open_raw(const struct stanza *st, const struct pqx_header *h, const uint8_t key[KEY_LEN],
		    uint8_t dek[KEY_LEN])
{
	struct wrapping w;
	int r;

	if ((r = raw_wrapping(&w, key, st->body)) != 0)
		return r;
	return dek_unwrap(h, &w, st->body + SALT_LEN, dek);
}

/* ### Opening: unwrap, then the header's commitment, then the block's mac ### */

/*
 * r: how the search through the stanzas ended. Before the commitment and the
 * mac have been checked nothing of the block is believed.
 */
static int finish_open(const struct keyblock *kb, const struct pqx_header *h, int r,
		       uint8_t dek[KEY_LEN], struct pqx_keys *k)
{
	if (r == 0)
		r = pqx_keys_derive(h, dek, k);
	if (r == 0 && (r = keyblock_verify(kb, h, k)) != 0)
		secret_wipe(k, sizeof(*k));
	secret_wipe(dek, KEY_LEN);
	return r;
}

int keyblock_open_identity(const struct keyblock *kb, const struct pqx_header *h,
			   const struct identity *id, struct pqx_keys *k)
{
	const struct public_identity *who = identity_public(id);
	uint8_t dek[KEY_LEN] = {0};
	int r = PQC_ENOKEY;

	for (size_t i = 0; i < kb->count && r == PQC_ENOKEY; i++) {
		const struct stanza *st = &kb->stanza[i];

		if (st->type != recipient_type(who->suite) ||
		    memcmp(st->body, who->id, ID_LEN) != 0)
			continue;
		r = open_recipient(st, h, id, dek);
	}
	return finish_open(kb, h, r, dek, k);
}

int keyblock_open_kek(const struct keyblock *kb, const struct pqx_header *h, const struct kek *kek,
		      struct pqx_keys *k)
{
	uint8_t dek[KEY_LEN] = {0}, name[KEK_NAME_LEN];
	int r = PQC_ENOKEY;

	kek_name(kek, name);
	for (size_t i = 0; i < kb->count && r == PQC_ENOKEY; i++) {
		const struct stanza *st = &kb->stanza[i];

		if (st->type != STANZA_KEK || memcmp(st->body, name, sizeof(name)) != 0)
			continue;
		r = open_kek(st, h, kek, dek);
	}
	return finish_open(kb, h, r, dek, k);
}

int keyblock_open_passphrase(const struct keyblock *kb, const struct pqx_header *h,
			     const char *pass, struct pqx_keys *k)
{
	uint8_t dek[KEY_LEN] = {0};
	int r;

	if (kb->count != 1 || kb->stanza[0].type != STANZA_PASSPHRASE)
		return PQC_ENOKEY;
	r = open_passphrase(&kb->stanza[0], h, pass, dek);
	if (r == PQC_ENOKEY)
		r = PQC_EPASSPHRASE;
	return finish_open(kb, h, r, dek, k);
}

int keyblock_open_raw(const struct keyblock *kb, const struct pqx_header *h,
		      const uint8_t key[KEY_LEN], struct pqx_keys *k)
{
	uint8_t dek[KEY_LEN] = {0};
	int r = PQC_ENOKEY;

	/* Raw keys have no name: each stanza is tried, and only a commitment that fits tells. */
	for (size_t i = 0; i < kb->count && r == PQC_ENOKEY; i++) {
		if (kb->stanza[i].type == STANZA_RAW)
			r = open_raw(&kb->stanza[i], h, key, dek);
	}
	return finish_open(kb, h, r, dek, k);
}
