/*
 * Who may do what: the list of authorised identities, a text file.
 *
 *   # comment
 *   role  <role>  <rights>  <pattern>
 *   <id, 64 hex digits>  <rights>  <pattern>  [name of the identity]  [quota=SIZE]
 *   <id>  @<role>  [name]  [quota=SIZE]
 *
 * rights: put,get,list,delete or all, separated by commas. pattern: a name in
 * which '*' stands for anything within one component and a last component of '**' for
 * everything below; "**" alone is everything. {id} stands for the identity's id in hex, {name} for
 * its name, which then must be one component of a path and hold none of '*', '{' and '}'.
 * Several lines for one identity, or for one role, add up; the first name of an identity counts.
 */
#ifndef PQC_SERVER_ACCESS_H
#define PQC_SERVER_ACCESS_H

#include <stdbool.h>

#include "base/buf.h"
#include "crypto/suite.h"

enum { RIGHT_PUT = 1, RIGHT_GET = 2, RIGHT_LIST = 4, RIGHT_DELETE = 8, RIGHT_ALL = 15 };

#define ACCESS_NO_QUOTA UINT64_MAX

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
/* How many bytes the objects of an identity may take together; ACCESS_NO_QUOTA without a limit. */
uint64_t access_quota(const struct access *a, const uint8_t id[ID_LEN]);
/* Lines of identities. */
size_t access_count(const struct access *a);

/* A line as it is in the file. The texts belong to the list. */
struct access_line {
	bool is_role; /* "role ...": has role, rights and pattern, nothing else */
	uint8_t id[ID_LEN];
	const char *role;    /* the one defined, or the one that the identity has; NULL: none */
	const char *rights;  /* NULL where a role has them */
	const char *pattern; /* NULL where a role has it */
	const char *name;    /* NULL: none */
	const char *quota;   /* "5G"; NULL: none */
	uint64_t quota_bytes;
	unsigned bits; /* of rights */
	size_t number; /* in the file, from 1 */
};
/* The lines that say something, in the order of the file; NULL behind the last one. */
const struct access_line *access_line(const struct access *a, size_t i);

/* What a new line gives when nobody says otherwise. */
#define ACCESS_DEFAULT_RIGHTS  "put,get,list"
#define ACCESS_DEFAULT_PATTERN "**"

/* What a new line gives to an identity. */
struct access_grant {
	const char *role; /* or NULL, and then: */
	const char *rights, *pattern;
	const char *name;  /* NULL: none */
	const char *quota; /* "5G"; NULL: none */
};
/*
 * Add a line, or remove every line of an id (PQC_ENOTFOUND); the file is replaced atomically,
 * comments stay. A line that would not be right where it stands is PQC_EUSAGE or PQC_ENAME, and
 * a file that is not, PQC_ECONFIG.
 */
int access_file_allow(const char *path, const uint8_t id[ID_LEN], const struct access_grant *g,
		      struct err *e) MUST_CHECK;
int access_file_deny(const char *path, const uint8_t id[ID_LEN], struct err *e) MUST_CHECK;
int access_file_role(const char *path, const char *role, const char *rights, const char *pattern,
		     struct err *e) MUST_CHECK;
/* "put,get" -> bits; PQC_EUSAGE. */
int access_rights_parse(const char *s, unsigned *rights, struct err *e) MUST_CHECK;
/* The pattern rule of above, without {id} and {name}. */
bool access_match(const char *pattern, const char *name);

#endif
