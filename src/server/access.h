/*
 * Who may do what: the list of authorised identities, a text file.
 *
 *   # comment
 *   <id, 64 hex digits>  <rights>  <pattern>  [name of the identity, for logs]
 *
 * rights: put,get,list,delete or all, separated by commas. pattern: a name in
 * which '*' stands for anything within one component and a last component of '**' for
 * everything below; "**" alone is everything. Several lines for one identity add up.
 */
#ifndef PQC_SERVER_ACCESS_H
#define PQC_SERVER_ACCESS_H

#include <stdbool.h>

#include "base/buf.h"
#include "crypto/suite.h"

enum { RIGHT_PUT = 1, RIGHT_GET = 2, RIGHT_LIST = 4, RIGHT_DELETE = 8, RIGHT_ALL = 15 };

struct access; /* immutable once read; replaced as a whole on reload */

/* Read a file; a missing one is an empty list. Errors name file, line, what was expected and found: PQC_ECONFIG. */
int access_load(const char *path, struct access **out, struct err *e) MUST_CHECK;
void access_free(struct access *a);
bool access_allows(const struct access *a, const uint8_t id[ID_LEN], unsigned right,
		   const char *name);
/* Any right at all? Tells an unknown identity from a known one. */
bool access_knows(const struct access *a, const uint8_t id[ID_LEN]);
/* Display name, or NULL. */
const char *access_name(const struct access *a, const uint8_t id[ID_LEN]);
size_t access_count(const struct access *a);

/* Add a line, or remove every line of an id (PQC_ENOTFOUND); the file is replaced atomically, comments stay. */
int access_file_allow(const char *path, const uint8_t id[ID_LEN], const char *rights,
		      const char *pattern, const char *name, struct err *e) MUST_CHECK;
int access_file_deny(const char *path, const uint8_t id[ID_LEN], struct err *e) MUST_CHECK;
/* "put,get" -> bits; PQC_EUSAGE. */
int access_rights_parse(const char *s, unsigned *rights, struct err *e) MUST_CHECK;
/* The pattern rule of above. */
bool access_match(const char *pattern, const char *name);

#endif
