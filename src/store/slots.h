/*
 * Leaf hashes in slots of a file: leaf[hash_len] | check[8] for part i at
 * at + i * (hash_len + 8), check = SHA-512(header | u64 i | leaf)[0..8). A slot
 * never written, written half, or of another header does not match its check
 * and is "not held". The server's `leaves` and the client's journal are such files.
 */
#ifndef PQC_STORE_SLOTS_H
#define PQC_STORE_SLOTS_H

#include "container/header.h"

struct slots {
	int fd;	     /* borrowed */
	uint64_t at; /* where slot 0 begins */
	const struct pqx_header *h;
};

/* Write slot i; not durable yet. Thread-safe for different slots. */
int slots_put(const struct slots *s, uint64_t i, const uint8_t *leaf, struct err *e) MUST_CHECK;
/* PQC_ENOTFOUND: not held; leaf is then untouched. */
int slots_get(const struct slots *s, uint64_t i, uint8_t *leaf) MUST_CHECK;
/* Slots the file has room for, a last half one included. */
int slots_count(const struct slots *s, uint64_t *n) MUST_CHECK;
/*
 * Slots 0..n-1 in order, leaf NULL for one that is not held; those past the end of the
 * file are not held. Nonzero from each stops and is returned.
 */
int slots_scan(const struct slots *s, uint64_t n,
	       int (*each)(void *arg, uint64_t i, const uint8_t *leaf), void *arg) MUST_CHECK;

#endif
