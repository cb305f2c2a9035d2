/* Between the files of access. */
#ifndef PQC_SERVER_ACCESS_IMPL_H
#define PQC_SERVER_ACCESS_IMPL_H

#include "server/access.h"

#define ACCESS_FILE_MAX ((size_t)16 << 20)
#define ACCESS_BLANKS	" \t\r"
#define PATTERN_MAX	4096 /* bytes: names are no longer */

struct access {
	struct buf text;	  /* the file, cut into strings */
	struct access_line *line; /* as in the file */
	size_t n;
	/* The lines of identities and those of roles, each by what they belong to, then as in the file */
	const struct access_line **client, **role;
	size_t clients, roles;
};

/* ---- access_pattern.c ---- */

int access_role_check(const char *role, struct err *e) MUST_CHECK;
/* May this be a pattern of a line? PQC_ENAME. */
int access_pattern_check(const char *pattern, struct err *e) MUST_CHECK;
/* Does it hold {id} or {name}? */
bool access_pattern_is_template(const char *pattern);
/* Put id and name (NULL: none) in their places. PQC_ENAME when what comes out is no pattern. */
int access_pattern_fill(const char *pattern, const uint8_t id[ID_LEN], const char *name,
			char out[PATTERN_MAX + 1], struct err *e) MUST_CHECK;

/* ---- access_read.c ---- */

/* Parse what is in a->text, cutting it into strings. PQC_ECONFIG, PQC_ENOMEM. */
int access_parse(struct access *a, const char *path, struct err *e) MUST_CHECK;
/* "quota=5G" behind the sign; PQC_EUSAGE. */
int access_quota_parse(const char *s, uint64_t *bytes, struct err *e) MUST_CHECK;

/* ---- access.c ---- */

struct access *access_new(void);
/* The lines of an id, or of a role: the index of the first of *n in a->client or a->role. */
size_t access_lines_of(const struct access *a, const uint8_t id[ID_LEN], size_t *n);
size_t access_lines_of_role(const struct access *a, const char *role, size_t *n);

#endif
