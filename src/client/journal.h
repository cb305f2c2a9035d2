/*
 * The journal of one transfer: what lets a killed client go on. One file in
 * the state directory, its name a hash of what is transferred (source path, server,
 * name, identity), locked while in use.
 *
 *   "pqxj" | u8 version | u8 kind | fingerprint[32] | header[128] | slots of { leaf | check[8] }
 *
 * check = SHA-512(header | u64 part | leaf)[0..8): a slot that was never
 * written or only half is absent. Holds no key.
 */
#ifndef PQC_CLIENT_JOURNAL_H
#define PQC_CLIENT_JOURNAL_H

#include "container/header.h"

enum journal_kind { JOURNAL_PUT = 1, JOURNAL_GET = 2 };

struct journal;

/*
 * Open or create dir/<hex of key>. PQC_ETEMP when another process is at the same
 * transfer. A file that is damaged or of another kind counts as empty.
 */
int journal_open(const char *dir, enum journal_kind kind, const uint8_t key[32],
		 struct journal **out, struct err *e) MUST_CHECK;
/* Closes; the file stays. */
void journal_free(struct journal *j);
/* The header it holds, or NULL when it is empty. */
const struct pqx_header *journal_header(const struct journal *j);
const uint8_t *journal_fingerprint(const struct journal *j);
/* Start over for this file: durable on return. fingerprint: of the source (put) or of manifest (get). */
int journal_start(struct journal *j, const struct pqx_header *h, const uint8_t fingerprint[32],
		  struct err *e) MUST_CHECK;
/* Note part i's leaf: in the kernel's hands on return (survives kill -9). Thread-safe for different parts. */
int journal_put(struct journal *j, uint64_t i, const uint8_t *leaf, struct err *e) MUST_CHECK;
/* PQC_ENOTFOUND: not noted. */
int journal_leaf(struct journal *j, uint64_t i, uint8_t *leaf) MUST_CHECK;
/* Number of slots the file has room for (not all need be written). */
uint64_t journal_slots(const struct journal *j);
/* fdatasync. */
int journal_sync(struct journal *j, struct err *e) MUST_CHECK;
/* Remove the file: the transfer is over. */
int journal_remove(struct journal *j, struct err *e) MUST_CHECK;

#endif
