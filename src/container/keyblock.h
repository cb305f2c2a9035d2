/* The key block (docs/container.md, "Key block"). */
#ifndef PQC_CONTAINER_KEYBLOCK_H
#define PQC_CONTAINER_KEYBLOCK_H

#include "base/buf.h"
#include "container/header.h"
#include "crypto/identity.h"

enum stanza_type {
	STANZA_XWING = 1,
	STANZA_MLKEM1024_P384 = 2,
	STANZA_KEK = 3,
	STANZA_PASSPHRASE = 4,
	STANZA_RAW = 5,
};
#define STANZA_COUNT_MAX 32
#define KEK_ID_LEN	 16

struct stanza {
	uint16_t type, len;
	const uint8_t *body; /* owned by the key block */
};

/* A key block in memory. Owns its bytes. */
struct keyblock;

struct keyblock *keyblock_new(void); /* empty, generation 0; NULL when memory is out */
void keyblock_free(struct keyblock *kb);
uint32_t keyblock_generation(const struct keyblock *kb);
size_t keyblock_count(const struct keyblock *kb);
/* i < count. Borrowed. */
const struct stanza *keyblock_stanza(const struct keyblock *kb, size_t i);

/*
 * Decode; structure, counts, lengths, Argon2id bounds and the stanza rules are
 * checked, the mac is not yet (see keyblock_verify). *used gets the block's
 * length including its length field. PQC_EINTEGRITY.
 */
int keyblock_decode(const struct pqx_header *h, const uint8_t *p, size_t n, struct keyblock **out,
		    size_t *used) MUST_CHECK;
/* Check the mac of the bytes last decoded or encoded. Every use of an unwrapped DEK comes after this. */
int keyblock_verify(const struct keyblock *kb, const struct pqx_header *h,
		    const struct pqx_keys *k) MUST_CHECK;
/*
 * Append the encoding, generation grown by one, to out. PQC_EUSAGE without a
 * stanza, PQC_ETOOBIG when the generation can grow no more.
 */
int keyblock_encode(struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k,
		    struct buf *out) MUST_CHECK;

/*
 * Add stanzas. PQC_EUSAGE when docs/container.md forbids the combination,
 * PQC_ETOOBIG past 32. A recipient that is there already is replaced. pass is
 * not empty.
 */
int keyblock_add_recipient(struct keyblock *kb, const struct pqx_header *h,
			   const struct pqx_keys *k, const struct public_identity *to) MUST_CHECK;
struct kek {
	uint8_t id[KEK_ID_LEN];
	uint32_t version;
	uint8_t key[KEY_LEN];
};
int keyblock_add_kek(struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k,
		     const struct kek *kek) MUST_CHECK;
int keyblock_add_passphrase(struct keyblock *kb, const struct pqx_header *h,
			    const struct pqx_keys *k, const char *pass,
			    const struct argon2_params *a) MUST_CHECK;
int keyblock_add_raw(struct keyblock *kb, const struct pqx_header *h, const struct pqx_keys *k,
		     const uint8_t key[KEY_LEN]) MUST_CHECK;
/* Remove the recipient stanzas of this id, or every stanza of a type. PQC_ENOTFOUND. */
int keyblock_remove_recipient(struct keyblock *kb, const uint8_t id[ID_LEN]) MUST_CHECK;
int keyblock_remove_type(struct keyblock *kb, enum stanza_type type) MUST_CHECK;

/*
 * Find the DEK with one kind of key and verify header commitment and mac.
 * PQC_ENOKEY: no stanza opens with this key. PQC_EPASSPHRASE: the passphrase
 * stanza did not open. PQC_EINTEGRITY: one did, but header or block is damaged.
 */
int keyblock_open_identity(const struct keyblock *kb, const struct pqx_header *h,
			   const struct identity *id, struct pqx_keys *k) MUST_CHECK;
int keyblock_open_kek(const struct keyblock *kb, const struct pqx_header *h, const struct kek *kek,
		      struct pqx_keys *k) MUST_CHECK;
int keyblock_open_passphrase(const struct keyblock *kb, const struct pqx_header *h,
			     const char *pass, struct pqx_keys *k) MUST_CHECK;
int keyblock_open_raw(const struct keyblock *kb, const struct pqx_header *h,
		      const uint8_t key[KEY_LEN], struct pqx_keys *k) MUST_CHECK;

#endif
