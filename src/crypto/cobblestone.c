/* Cobblestone-256: c2sp.org/chunked-encryption with SHA-512 and AES-256-GCM. */
#include <string.h>

#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include "crypto/secmem.h"

#define SEALED_CHUNK (COB_CHUNK + AEAD_TAG)

static const struct span nothing = {NULL, 0};

/* What HKDF-Expand yields, in its order ("Key derivation"). */
struct cob_keys {
	uint8_t key[KEY_LEN];
	uint8_t iv[AEAD_IV];
	uint8_t commit[COB_COMMIT];
};
_Static_assert(sizeof(struct cob_keys) == KEY_LEN + AEAD_IV + COB_COMMIT, "bytes without padding");

static int derive(const uint8_t key[KEY_LEN], const uint8_t salt[COB_SALT], const struct span *ctx,
		  struct cob_keys *out)
{
	static const char label[] = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM";
	const struct span info[] = {
		{label, sizeof label}, /* with its 0x00 */
		{salt, COB_SALT},
		ctx != NULL ? *ctx : nothing,
	};

	return hkdf_expand(key, KEY_LEN, info, 3, out, sizeof *out);
}

size_t cob_sealed_len(size_t n)
{
	return COB_HEAD + n + AEAD_TAG * (n / COB_CHUNK + 1);
}

int cob_opened_len(size_t n, size_t *out)
{
	size_t last;

	if (n < COB_HEAD + AEAD_TAG)
		return PQC_EINTEGRITY;
	n -= COB_HEAD;
	last = n % SEALED_CHUNK; /* the final chunk is short, so it can never fill SEALED_CHUNK */
	if (last < AEAD_TAG)
		return PQC_EINTEGRITY;
	*out = n / SEALED_CHUNK * COB_CHUNK + last - AEAD_TAG;
	return 0;
}

int cob_seal(struct aead *a, const uint8_t key[KEY_LEN], const uint8_t salt[COB_SALT],
	     const struct span *ctx, const struct span *in, uint8_t *out)
{
	struct cob_keys k;
	const uint8_t *p = in->p;
	size_t left = in->n, n;
	uint64_t i = 0;
	int r;

	if ((r = derive(key, salt, ctx, &k)) != 0 || (r = aead_key(a, true, k.key)) != 0)
		goto out;
	memcpy(out, salt, COB_SALT);
	memcpy(out + COB_SALT, k.commit, COB_COMMIT);
	out += COB_HEAD;
	do { /* ends with a chunk shorter than COB_CHUNK, if need be an empty one */
		uint8_t iv[AEAD_IV];
		struct span chunk;

		n = left < COB_CHUNK ? left : COB_CHUNK;
		chunk = (struct span){p, n};
		aead_nonce(k.iv, i++, iv);
		if ((r = aead_seal_one(a, iv, &nothing, &chunk, out, out + n)) != 0)
			goto out;
		p = n > 0 ? p + n : p;
		out += n + AEAD_TAG;
		left -= n;
	} while (n == COB_CHUNK);
out:
	aead_forget(a);
	secret_wipe(&k, sizeof k);
	return r;
}

/* The chunks in[n], of which the lengths were checked, to out; *wrote bytes of out were touched. */
static int open_chunks(struct aead *a, const uint8_t base_iv[AEAD_IV], const uint8_t *in, size_t n,
		       uint8_t *out, size_t *wrote)
{
	uint64_t i = 0;
	int r = 0;

	while (r == 0 && n > 0) {
		size_t sealed = n < SEALED_CHUNK ? n : SEALED_CHUNK;
		struct span chunk = {in, sealed - AEAD_TAG};
		uint8_t iv[AEAD_IV];

		aead_nonce(base_iv, i++, iv);
		r = aead_open_one(a, iv, &nothing, &chunk, in + chunk.n, out + *wrote);
		*wrote += chunk.n;
		in += sealed;
		n -= sealed;
	}
	return r;
}

/* The keys under which the message was sealed, its commitment checked before any is used. */
static int unlock(const uint8_t key[KEY_LEN], const struct span *ctx, const uint8_t head[COB_HEAD],
		  struct cob_keys *k)
{
	int r = derive(key, head, ctx, k);

	if (r == 0 && !secret_equal(k->commit, head + COB_SALT, COB_COMMIT))
		r = PQC_EINTEGRITY;
	return r;
}

int cob_key_fits(const uint8_t key[KEY_LEN], const struct span *ctx, const uint8_t head[COB_HEAD])
{
	struct cob_keys k;
	int r = unlock(key, ctx, head, &k);

	secret_wipe(&k, sizeof k);
	return r;
}

int cob_open(struct aead *a, const uint8_t key[KEY_LEN], const struct span *ctx,
	     const struct span *in, uint8_t *out)
{
	const uint8_t *p = in->p;
	struct cob_keys k;
	size_t plain, wrote = 0;
	int r;

	if ((r = cob_opened_len(in->n, &plain)) != 0)
		return r;
	if ((r = unlock(key, ctx, p, &k)) == 0 && (r = aead_key(a, false, k.key)) == 0)
		r = open_chunks(a, k.iv, p + COB_HEAD, in->n - COB_HEAD, out, &wrote);
	if (r != 0)
		secret_wipe(out, wrote);
	aead_forget(a);
	secret_wipe(&k, sizeof k);
	return r;
}
