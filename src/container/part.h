/* Parts: one Cobblestone-256 message each (docs/container.md, "Parts"). */
#ifndef PQC_CONTAINER_PART_H
#define PQC_CONTAINER_PART_H

#include "container/header.h"

/* Ciphertext length of a part of plain_len bytes. */
static inline size_t pqx_part_sealed_len(size_t plain_len)
{
	return cob_sealed_len(plain_len);
}

/*
 * Seal plain[n] as part i into out[pqx_part_sealed_len(n)] under a fresh
 * random salt, and compute its leaf (suite->hash_len bytes). n must be the
 * part capacity unless final. One aead per thread; k and h are only read.
 */
int pqx_part_seal(struct aead *a, const struct pqx_header *h, const struct pqx_keys *k, uint64_t i,
		  bool final, const struct span *plain, uint8_t *out, uint8_t *leaf) MUST_CHECK;
/*
 * Open sealed[n] as part i; *plain_len bytes go to out, which holds the part
 * capacity. PQC_EINTEGRITY for damage, a wrong index, a wrong final flag, or
 * a length that breaks the rules of docs/container.md.
 */
int pqx_part_open(struct aead *a, const struct pqx_header *h, const struct pqx_keys *k, uint64_t i,
		  bool final, const struct span *sealed, uint8_t *out,
		  size_t *plain_len) MUST_CHECK;
/* leaf = H(00 | u64 i | sealed). */
int pqx_leaf(const struct suite *s, uint64_t i, const struct span *sealed,
	     uint8_t *leaf) MUST_CHECK;

#endif
