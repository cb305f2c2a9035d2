/*
 * An identity: a signature key and a recipient KEM key of one suite, its id,
 * and the file forms (docs/keys.md).
 *
 * Private: PEM, one PKCS#8 "PRIVATE KEY" per component key in seed form
 * (suite 1: ML-DSA-65, Ed25519, ML-KEM-768, X25519; suite 2: ML-DSA-87,
 * ML-KEM-1024, P-384), or one "PQC ENCRYPTED PRIVATE KEY" around that text.
 * Public: one line "pqc-identity-v1 <base64> [comment]", self-signed with
 * context "pqx1 identity".
 */
#ifndef PQC_CRYPTO_IDENTITY_H
#define PQC_CRYPTO_IDENTITY_H

#include <stdbool.h>

#include "base/buf.h"
#include "crypto/kem.h"
#include "crypto/sign.h"

struct identity; /* private */

/* What others know of an identity. Plain data. */
struct public_identity {
	const struct suite *suite;
	uint8_t id[ID_LEN];
	uint8_t sig_pk[SIG_PK_MAX];
	uint8_t kem_pk[KEM_PK_MAX];
	char comment[128]; /* from the file, unauthenticated */
};

int identity_generate(const struct suite *s, struct identity **out) MUST_CHECK;
void identity_free(struct identity *id);
/* Borrowed. */
const struct public_identity *identity_public(const struct identity *id);
const struct sign_key *identity_sign_key(const struct identity *id);
const struct kem_key *identity_kem_key(const struct identity *id);

/* SHA-512(sig_pk)[0..32). */
int identity_id(const struct suite *s, const uint8_t *sig_pk, uint8_t out[ID_LEN]) MUST_CHECK;

/* Append the file text to out. pass NULL: not encrypted; an empty one is refused. buf_free wipes it. */
int identity_encode(const struct identity *id, const char *pass, struct buf *out,
		    struct err *e) MUST_CHECK;
/*
 * pass NULL and an encrypted file, or a wrong one: PQC_EPASSPHRASE. Every
 * malformed file: PQC_EINTEGRITY with the reason.
 */
int identity_decode(const void *text, size_t n, const char *pass, struct identity **out,
		    struct err *e) MUST_CHECK;
/* Does the text hold an encrypted key (a passphrase is needed)? */
bool identity_is_encrypted(const void *text, size_t n);

/*
 * One line. comment: NULL, or at most 127 bytes of UTF-8 without control or
 * deceiving characters, else PQC_EUSAGE.
 */
int public_identity_encode(const struct identity *id, const char *comment,
			   struct buf *out) MUST_CHECK;
/* Verifies the self-signature; one '\n' at the end is allowed. */
int public_identity_decode(const char *line, size_t n, struct public_identity *out,
			   struct err *e) MUST_CHECK;

/*
 * Load a key file: a regular file of mode 0600 or narrower owned by the
 * caller, else PQC_EREFUSED naming the mode found and the chmod to run.
 */
int identity_load(const char *path, const char *pass, struct identity **out,
		  struct err *e) MUST_CHECK;
/* Create path (0600) and path.pub (0644); PQC_EEXIST rather than overwrite. */
int identity_save(const struct identity *id, const char *path, const char *pass,
		  const char *comment, struct err *e) MUST_CHECK;
int public_identity_load(const char *path, struct public_identity *out, struct err *e) MUST_CHECK;

#endif
