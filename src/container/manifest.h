/* Manifest and receipt (docs/container.md, "Manifest", "Receipt"). */
#ifndef PQC_CONTAINER_MANIFEST_H
#define PQC_CONTAINER_MANIFEST_H

#include "base/buf.h"
#include "container/header.h"
#include "crypto/identity.h"

#define PQX_MANIFEST_MAX 8192
#define PQX_RECEIPT_MAX	 8192
#define PQX_TRAILER_LEN	 8 /* u32 manifest length | "PQXM" */

struct pqx_manifest {
	const struct suite *suite;
	uint8_t hc[SHA512_LEN];
	uint64_t n, plain_size, time;
	uint8_t root[HASH_MAX];
	bool is_signed;
	uint8_t sender_pk[SIG_PK_MAX]; /* when signed */
};

/* Its length is known before it is made. */
size_t pqx_manifest_len(const struct suite *s, bool is_signed);
/*
 * Append the encoded manifest to out. by NULL: unsigned, authenticated under
 * k->meta. hc and suite come from h; m gives n, plain_size, time, root.
 */
int pqx_manifest_make(const struct pqx_header *h, const struct pqx_keys *k,
		      const struct identity *by, const struct pqx_manifest *m,
		      struct buf *out) MUST_CHECK;
/*
 * Decode and check against h: everything "MUST hold" in docs/container.md but
 * the root, which the caller compares with the tree it built. k may be NULL
 * for a signed manifest (a server without the key); an unsigned one is then
 * PQC_EINTEGRITY.
 */
int pqx_manifest_check(const struct pqx_header *h, const struct pqx_keys *k, const uint8_t *p,
		       size_t n, struct pqx_manifest *out) MUST_CHECK;

/* Decode what can be decoded, for showing it to people: nothing is verified. PQC_EINTEGRITY. */
int pqx_manifest_decode(const struct pqx_header *h, const uint8_t *p, size_t n,
			struct pqx_manifest *out) MUST_CHECK;

struct pqx_receipt {
	const struct suite *suite; /* the server's */
	uint8_t hc[SHA512_LEN];
	uint8_t manifest_hash[SHA512_LEN];
	uint8_t server_id[ID_LEN], client_id[ID_LEN];
	uint64_t time, log_index;
	uint8_t log_root[HASH_MAX]; /* suite->hash_len bytes */
};

/* SHA-512 over the receipt's bytes up to and including time: what the log's entry hashes. */
int pqx_receipt_core_hash(const struct pqx_receipt *r, uint8_t out[SHA512_LEN]) MUST_CHECK;
/* Append the signed receipt; server_id and suite are by's. */
int pqx_receipt_make(const struct identity *by, const struct pqx_receipt *r,
		     struct buf *out) MUST_CHECK;
/* Decode and verify the signature and that the public key inside has the id it claims. */
int pqx_receipt_check(const uint8_t *p, size_t n, struct pqx_receipt *out) MUST_CHECK;

/* The PEM form that people keep: header | L(manifest) | L(receipt). */
int pqx_receipt_bundle_encode(const uint8_t header[PQX_HEADER_LEN], const struct span *manifest,
			      const struct span *receipt, struct buf *out) MUST_CHECK;
struct pqx_bundle {
	struct pqx_header header;
	struct pqx_manifest manifest;
	struct pqx_receipt receipt;
};
/* Decode and verify everything but which server was expected. */
int pqx_receipt_bundle_check(const void *pem, size_t n, struct pqx_bundle *out,
			     struct err *e) MUST_CHECK;

#endif
