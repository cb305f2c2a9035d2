/*
 * A server's key-encryption key in a file: blank lines, comments that begin
 * with '#', and one line
 *
 *   pqc-kek-v1 <id, 32 hex digits> <version> <key, 64 hex digits>
 */
#ifndef PQC_SERVER_KEK_FILE_H
#define PQC_SERVER_KEK_FILE_H

#include "container/keyblock.h"

/*
 * Load path, mode 0600 or narrower. k is in memory that the caller wipes. PQC_ECONFIG names file
 * and line, PQC_ENOTFOUND: there is no such file.
 */
int kek_load(const char *path, struct kek *k, struct err *e) MUST_CHECK;
/* The same; when it does not exist make a random key and the file (*made). */
int kek_load_or_make(const char *path, struct kek *k, bool *made, struct err *e) MUST_CHECK;

#endif
