/* Reading the list: first line by line, then what lines say of each other. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "server/access_impl.h"

#define QUOTA	  "quota="
#define QUOTA_MAX (UINT64_C(1) << 62)

/* ---- a line ---- */

int access_quota_parse(const char *s, uint64_t *bytes, struct err *e)
{
	if (parse_size(s, QUOTA_MAX, bytes) == 0)
		return 0;
	return err_set(e, PQC_EUSAGE, "expected a quota such as 500M or 1.5T, found '%.80s'", s);
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, ACCESS_BLANKS);
	for (end = s + strlen(s); end > s && strchr(ACCESS_BLANKS, end[-1]) != NULL; end--)
		;
	*end = '\0';
	return s;
}

/*
 * Cut a quota off the end of a name, which may hold blanks. A word of it that looks like a quota
 * and were none would be a limit that the operator believes in and nobody keeps.
 */
static int take_quota(char *name, struct access_line *l, struct err *e)
{
	const size_t sign = strlen(QUOTA);

	for (char *word = name; *word != '\0'; word += strspn(word, ACCESS_BLANKS)) {
		size_t n = strcspn(word, ACCESS_BLANKS);

		if (strncasecmp(word, QUOTA, sign) == 0) {
			if (word[n] != '\0' || strncmp(word, QUOTA, sign) != 0)
				return err_set(e, PQC_ECONFIG,
					       "expected quota=SIZE once and at the end, found "
					       "'%.80s'",
					       word);
			l->quota = word + sign;
			word[0] = '\0'; /* the end of the name */
			return access_quota_parse(l->quota, &l->quota_bytes, e);
		}
		word += n;
	}
	return 0;
}

/* The rest of an identity's line: [name] [quota=SIZE] */
static int parse_tail(char *rest, struct access_line *l, struct err *e)
{
	int rc;

	rest = trim(rest);
	if (!utf8_valid(rest, strlen(rest)))
		return err_set(e, PQC_ECONFIG, "the name of the identity is not valid UTF-8");
	if ((rc = take_quota(rest, l, e)) != 0)
		return rc;
	rest = trim(rest);
	l->name = rest[0] != '\0' ? rest : NULL;
	return 0;
}

static int parse_rights(char *rights, char **rest, struct access_line *l, struct err *e)
{
	int rc;

	l->rights = rights;
	l->pattern = rights != NULL ? strtok_r(NULL, ACCESS_BLANKS, rest) : NULL;
	if (l->pattern == NULL)
		return err_set(e, PQC_ECONFIG, "expected rights and a pattern, found %s%.80s%s",
			       rights != NULL ? "only '" : "", rights != NULL ? rights : "nothing",
			       rights != NULL ? "'" : "");
	if ((rc = access_rights_parse(rights, &l->bits, e)) != 0)
		return rc;
	return access_pattern_check(l->pattern, e);
}

static int parse_role(char **rest, struct access_line *l, struct err *e)
{
	char *more;
	int rc;

	l->is_role = true;
	if ((l->role = strtok_r(NULL, ACCESS_BLANKS, rest)) == NULL)
		return err_set(e, PQC_ECONFIG,
			       "expected a role's name, rights and a pattern, found nothing");
	if ((rc = access_role_check(l->role, e)) != 0 ||
	    (rc = parse_rights(strtok_r(NULL, ACCESS_BLANKS, rest), rest, l, e)) != 0)
		return rc;
	if ((more = strtok_r(NULL, ACCESS_BLANKS, rest)) != NULL)
		return err_set(e, PQC_ECONFIG,
			       "expected nothing behind the pattern of a role, found '%.80s'",
			       more);
	return 0;
}

static int parse_client(const char *id, char **rest, struct access_line *l, struct err *e)
{
	char *second = strtok_r(NULL, ACCESS_BLANKS, rest);
	int rc;

	if (hex_decode(id, l->id, ID_LEN) != 0)
		return err_set(e, PQC_ECONFIG,
			       "expected 'role' or an identity of 64 hex digits, found '%.80s'",
			       id);
	if (second != NULL && second[0] == '@') {
		l->role = second + 1;
		rc = access_role_check(l->role, e);
	} else {
		rc = parse_rights(second, rest, l, e);
	}
	return rc != 0 ? rc : parse_tail(*rest, l, e);
}

/* Parse a line in place. *blank: it says nothing. The message is without file and line. */
static int parse_line(char *text, struct access_line *l, bool *blank, struct err *e)
{
	char *rest, *first;

	first = strtok_r(text, ACCESS_BLANKS, &rest);
	*blank = first == NULL || first[0] == '#';
	if (*blank)
		return 0;
	if (strcmp(first, "role") == 0)
		return parse_role(&rest, l, e);
	return parse_client(first, &rest, l, e);
}

static int add_line(struct access *a, const struct access_line *l)
{
	/* Grown at every power of two. */
	if ((a->n & (a->n - 1)) == 0) {
		size_t cap = a->n == 0 ? 1 : 2 * a->n;
		struct access_line *more = reallocarray(a->line, cap, sizeof(*more));

		if (more == NULL)
			return PQC_ENOMEM;
		a->line = more;
	}
	a->line[a->n++] = *l;
	return 0;
}

/* ---- the lines together ---- */

static int compare_numbers(const struct access_line *x, const struct access_line *y)
{
	return (x->number > y->number) - (x->number < y->number);
}

static int compare_clients(const void *a, const void *b)
{
	const struct access_line *x = *(const struct access_line *const *)a;
	const struct access_line *y = *(const struct access_line *const *)b;
	int order = memcmp(x->id, y->id, ID_LEN);

	return order != 0 ? order : compare_numbers(x, y);
}

static int compare_roles(const void *a, const void *b)
{
	const struct access_line *x = *(const struct access_line *const *)a;
	const struct access_line *y = *(const struct access_line *const *)b;
	int order = strcmp(x->role, y->role);

	return order != 0 ? order : compare_numbers(x, y);
}

static int sort_lines(struct access *a)
{
	/* One more: calloc of nothing may be NULL. */
	a->client = calloc(a->n + 1, sizeof(a->client[0]));
	a->role = calloc(a->n + 1, sizeof(a->role[0]));
	if (a->client == NULL || a->role == NULL)
		return PQC_ENOMEM;
	for (size_t i = 0; i < a->n; i++)
		if (a->line[i].is_role)
			a->role[a->roles++] = &a->line[i];
		else
			a->client[a->clients++] = &a->line[i];
	qsort(a->client, a->clients, sizeof(a->client[0]), compare_clients);
	qsort(a->role, a->roles, sizeof(a->role[0]), compare_roles);
	return 0;
}

/* Can the places of a pattern be filled for this identity? */
static int check_pattern(const struct access *a, const struct access_line *l, const char *pattern,
			 struct err *e)
{
	char out[PATTERN_MAX + 1];

	if (!access_pattern_is_template(pattern))
		return 0;
	return access_pattern_fill(pattern, l->id, access_name(a, l->id), out, e);
}

static int check_client(const struct access *a, const struct access_line *l, struct err *e)
{
	size_t first, n;
	int rc = 0;

	if (l->role == NULL)
		return check_pattern(a, l, l->pattern, e);
	first = access_lines_of_role(a, l->role, &n);
	if (n == 0)
		return err_set(e, PQC_ECONFIG,
			       "expected a role that a line of the file defines, "
			       "found '@%s'",
			       l->role);
	for (size_t i = first; rc == 0 && i < first + n; i++)
		rc = check_pattern(a, l, a->role[i]->pattern, e);
	return rc;
}

static int bad_line(const char *path, size_t number, struct err *e)
{
	err_prefix(e, "%s:%zu", path, number);
	return err_set(e, PQC_ECONFIG, "%s", e != NULL ? e->msg : "");
}

static int check_clients(const struct access *a, const char *path, struct err *e)
{
	const struct access_line *limit = NULL; /* the first with a quota, of this identity */
	int rc;

	for (size_t i = 0; i < a->clients; i++) {
		const struct access_line *l = a->client[i];

		if (limit != NULL && memcmp(limit->id, l->id, ID_LEN) != 0)
			limit = NULL;
		rc = check_client(a, l, e);
		if (rc == 0 && l->quota != NULL && limit != NULL &&
		    l->quota_bytes != limit->quota_bytes)
			rc = err_set(e, PQC_ECONFIG,
				     "expected the quota of line %zu of this identity, %s, found "
				     "%s",
				     limit->number, limit->quota, l->quota);
		if (rc != 0)
			return bad_line(path, l->number, e);
		if (l->quota != NULL && limit == NULL)
			limit = l;
	}
	return 0;
}

int access_parse(struct access *a, const char *path, struct err *e)
{
	char *text, *line;
	size_t number = 0;
	bool blank;
	int rc;

	if (buf_cstr(&a->text) == NULL)
		return err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
	text = (char *)a->text.p;
	if (memchr(text, '\0', a->text.len) != NULL)
		return err_set(e, PQC_ECONFIG, "%s: expected text, found a zero byte", path);
	while ((line = strsep(&text, "\n")) != NULL) {
		struct access_line l = {.number = ++number, .quota_bytes = ACCESS_NO_QUOTA};

		if (parse_line(line, &l, &blank, e) != 0)
			return bad_line(path, number, e);
		if (!blank && (rc = add_line(a, &l)) != 0)
			return err_set(e, rc, "%s: no memory to read it", path);
	}
	if ((rc = sort_lines(a)) != 0)
		return err_set(e, rc, "%s: no memory to read it", path);
	return check_clients(a, path, e);
}
