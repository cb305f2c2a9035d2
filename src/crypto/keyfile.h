/* The text of a private key file (docs/keys.md), plain or under a passphrase. */
#ifndef PQC_CRYPTO_KEYFILE_H
#define PQC_CRYPTO_KEYFILE_H

#include "base/buf.h"
#include "crypto/kem_internal.h"
#include "crypto/sign_internal.h"

#define KEYFILE_MAX (16 * 1024) /* bytes; a whole encrypted file has about 1 KiB */

/* Append; pass NULL: plain. */
int keyfile_encode(const struct sign_key *sig, const struct kem_key *kem, const char *pass,
		   struct buf *out, struct err *e) MUST_CHECK;

struct keyfile {
	struct sign_key *sig;
	struct kem_key *kem;
};
int keyfile_decode(const struct span *text, const char *pass, struct keyfile *out,
		   struct err *e) MUST_CHECK;
bool keyfile_is_encrypted(const struct span *text);

#endif
