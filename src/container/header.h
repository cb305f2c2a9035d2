/*
 * Core header and key schedule (docs/container.md, "Core header").
 * The container layer is pure: no descriptor, no clock; bytes, times and
 * random values are arguments, but for part salts and wrap salts, which it
 * draws itself so that no caller can repeat one.
 */
#ifndef PQC_CONTAINER_HEADER_H
#define PQC_CONTAINER_HEADER_H

#include <stdbool.h>

#include "crypto/aead.h"
#include "crypto/suite.h"

#define PQX_HEADER_LEN	 128
#define PQX_BODY_OFFSET	 65536
#define PQX_KEYBLOCK_MAX (PQX_BODY_OFFSET - PQX_HEADER_LEN)
#define PQX_PART_MIN	 65536u
#define PQX_PART_MAX	 33554432u
#define PQX_PART_DEFAULT 1048576u
#define PQX_SIZE_UNKNOWN UINT64_MAX
#define PQX_FLAG_E2E	 1u
#define PQX_PARTS_MAX	 (UINT64_C(1) << 32)

struct pqx_header {
	const struct suite *suite;
	uint32_t part_size;
	uint64_t plain_size; /* or PQX_SIZE_UNKNOWN */
	uint64_t flags;
	uint8_t file_id[32];
	uint8_t sender_id[ID_LEN]; /* zero: unsigned */
	uint8_t commit[32];
	uint8_t raw[PQX_HEADER_LEN]; /* the encoded form */
	uint8_t hc[SHA512_LEN];	     /* SHA-512(raw) */
};

/* The keys of one file. Lives in secret_alloc memory or is wiped by its owner. */
struct pqx_keys {
	uint8_t dek[KEY_LEN];
	uint8_t part[KEY_LEN];
	uint8_t keyblock[KEY_LEN];
	uint8_t meta[KEY_LEN];
};

/*
 * Complete h (suite, part_size, plain_size, flags, sender_id set by the
 * caller) for a new file: draws file_id and DEK, fills commit, raw, hc and k.
 * PQC_EUSAGE for a part_size or flags outside the bounds.
 */
int pqx_header_new(struct pqx_header *h, struct pqx_keys *k) MUST_CHECK;
/* Decode and check every field but commit. PQC_EINTEGRITY. */
int pqx_header_decode(const uint8_t raw[PQX_HEADER_LEN], struct pqx_header *out) MUST_CHECK;
/* Check dek against h->commit, then derive k. PQC_EINTEGRITY when it is not this file's key. */
int pqx_keys_derive(const struct pqx_header *h, const uint8_t dek[KEY_LEN],
		    struct pqx_keys *k) MUST_CHECK;

/* Is there a sender (sender_id not zero)? */
bool pqx_header_is_signed(const struct pqx_header *h);

/* Plaintext bytes that a full part carries; part_size within the bounds. */
uint32_t pqx_part_capacity(uint32_t part_size);
/* Number of parts of plain_size bytes; PQC_ETOOBIG past PQX_PARTS_MAX. */
int pqx_part_count(uint32_t part_size, uint64_t plain_size, uint64_t *n) MUST_CHECK;
/* Ciphertext length of a body of plain_size bytes (plain_size within pqx_part_count's range). */
uint64_t pqx_body_len(uint32_t part_size, uint64_t plain_size);

#endif
