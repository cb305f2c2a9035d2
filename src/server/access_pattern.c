/* Rights, and patterns of names. */
#include <string.h>

#include "base/text.h"
#include "server/access_impl.h"

#define ROLE_MAX 64

static const struct {
	const char *name;
	unsigned bits;
} rights_names[] = {
	{"put", RIGHT_PUT},	  {"get", RIGHT_GET}, {"list", RIGHT_LIST},
	{"delete", RIGHT_DELETE}, {"all", RIGHT_ALL},
};

static unsigned right_bits(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(rights_names) / sizeof(rights_names[0]); i++)
		if (strlen(rights_names[i].name) == n && memcmp(rights_names[i].name, s, n) == 0)
			return rights_names[i].bits;
	return 0;
}

int access_rights_parse(const char *s, unsigned *rights, struct err *e)
{
	unsigned all = 0, bits;

	for (const char *at = s;; at++) {
		size_t n = strcspn(at, ",");

		if ((bits = right_bits(at, n)) == 0)
			return err_set(e, PQC_EUSAGE,
				       "'%.*s' is no right: expected put, get, list, delete or "
				       "all, separated by commas",
				       n < 64 ? (int)n : 64, at);
		all |= bits;
		at += n;
		if (*at == '\0')
			break;
	}
	*rights = all;
	return 0;
}

int access_role_check(const char *role, struct err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t n = strlen(role);

	if (n >= 1 && n <= ROLE_MAX && strspn(role, letters) == n)
		return 0;
	return err_set(e, PQC_EUSAGE,
		       "expected a role's name, 1 to %d letters, digits, '-', '_' and '.', "
		       "found '%.80s'",
		       ROLE_MAX, role);
}

/* ---- {id} and {name} ---- */

enum place { PLACE_NONE, PLACE_ID, PLACE_NAME };

/* Which place begins at s, and how long is its word? */
static enum place place_at(const char *s, size_t *n)
{
	static const struct {
		const char *word;
		enum place place;
	} places[] = {{"{id}", PLACE_ID}, {"{name}", PLACE_NAME}};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*n = strlen(places[i].word);
		if (strncmp(s, places[i].word, *n) == 0)
			return places[i].place;
	}
	return PLACE_NONE;
}

/* Braces were always allowed in names; but a word in them that is nearly a place is a slip. */
static int braces_check(const char *pattern, struct err *e)
{
	size_t n;

	for (const char *s = strchr(pattern, '{'); s != NULL; s = strchr(s + 1, '{')) {
		size_t word = strspn(s + 1, "abcdefghijklmnopqrstuvwxyz");

		if (place_at(s, &n) == PLACE_NONE && word > 0 && s[1 + word] == '}')
			return err_set(e, PQC_ENAME,
				       "'%.200s': expected {id} or {name}, found '%.*s'", pattern,
				       word < 64 ? (int)word + 2 : 64, s);
	}
	return 0;
}

bool access_pattern_is_template(const char *pattern)
{
	size_t n;

	for (const char *s = strchr(pattern, '{'); s != NULL; s = strchr(s + 1, '{'))
		if (place_at(s, &n) != PLACE_NONE)
			return true;
	return false;
}

/* What stands for {name} becomes one component or part of one, whoever chose the name. */
static int name_fits(const char *pattern, const char *name, struct err *e)
{
	if (name == NULL)
		return err_set(e, PQC_ENAME, "'%.200s' holds {name}, and this identity has none",
			       pattern);
	if (strpbrk(name, "/*{}") != NULL || name_check(name, strlen(name), NULL) != 0)
		return err_set(e, PQC_ENAME,
			       "'%.200s' holds {name}: expected a name that is one component of a "
			       "path without '*', '{' and '}', found '%.80s'",
			       pattern, name);
	return 0;
}

int access_pattern_fill(const char *pattern, const uint8_t id[ID_LEN], const char *name,
			char out[PATTERN_MAX + 1], struct err *e)
{
	char hex[2 * ID_LEN + 1], *end = out;
	size_t left = PATTERN_MAX, n, word;
	int rc;

	hex_encode(id, ID_LEN, hex);
	for (const char *s = pattern; *s != '\0'; s += word) {
		enum place place = place_at(s, &word);
		const char *text = place == PLACE_ID ? hex : place == PLACE_NAME ? name : s;

		if (place == PLACE_NAME && (rc = name_fits(pattern, name, e)) != 0)
			return rc;
		n = place == PLACE_NONE ? (word = 1) : strlen(text);
		if (n > left)
			return err_set(e, PQC_ENAME, "'%.200s' becomes too long", pattern);
		memcpy(end, text, n);
		end += n;
		left -= n;
	}
	*end = '\0';
	return name_check(out, strlen(out), e);
}

/* ---- patterns ---- */

int access_pattern_check(const char *s, struct err *e)
{
	const char *two = strstr(s, "**");
	int rc = name_check(s, strlen(s), e);

	if (rc != 0)
		return rc;
	if (two != NULL && ((two > s && two[-1] != '/') || two[2] != '\0'))
		return err_set(e, PQC_ENAME, "'%.200s': '**' stands only as the last component", s);
	return braces_check(s, e);
}

/* '*' stands for any bytes; when the rest does not fit, the last '*' takes one byte more. */
static bool component_match(const char *p, size_t pn, const char *s, size_t sn)
{
	size_t i = 0, j = 0, star = SIZE_MAX, taken = 0;

	while (j < sn) {
		if (i < pn && p[i] == '*') {
			star = i++;
			taken = j;
		} else if (i < pn && p[i] == s[j]) {
			i++;
			j++;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			j = ++taken;
		} else {
			return false;
		}
	}
	while (i < pn && p[i] == '*')
		i++;
	return i == pn;
}

bool access_match(const char *pattern, const char *name)
{
	for (;;) {
		size_t pn = strcspn(pattern, "/"), sn = strcspn(name, "/");

		if (strcmp(pattern, "**") == 0)
			return *name != '\0';
		if (!component_match(pattern, pn, name, sn))
			return false;
		if (pattern[pn] == '\0' || name[sn] == '\0')
			return pattern[pn] == name[sn];
		pattern += pn + 1;
		name += sn + 1;
	}
}
