#include "config/conf.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define BLANKS	  " \t\r"
#define KEYS_MAX  256
#define WHERE_MAX 4200

struct conf {
	const char *path;
	unsigned line;
	struct {
		const char *key; /* in the text */
		unsigned line;
	} seen[KEYS_MAX];
	size_t nseen;
	char where[WHERE_MAX];
};

static int fail(const struct conf *c, struct err *e, const char *what)
{
	return err_set(e, PQC_ECONFIG, "%s: %s", c->where, what);
}

/* Remember a key; an error when it was there before. */
static int note_key(struct conf *c, const char *key, struct err *e)
{
	for (size_t i = 0; i < c->nseen; i++)
		if (strcmp(c->seen[i].key, key) == 0)
			return err_set(e, PQC_ECONFIG, "%s: '%s' is given already in line %u",
				       c->where, key, c->seen[i].line);
	if (c->nseen == KEYS_MAX)
		return fail(c, e, "more than 256 keys");
	c->seen[c->nseen].key = key;
	c->seen[c->nseen++].line = c->line;
	return 0;
}

static void trim_end(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && strchr(BLANKS, s[n - 1]) != NULL)
		s[--n] = '\0';
}

/* s is behind the opening quote; unquote in place. */
static int unquote(const struct conf *c, char *s, struct err *e)
{
	char *to = s;

	for (; *s != '"'; s++) {
		if (*s == '\\' && s[1] != '"' && s[1] != '\\')
			return fail(c, e, "in quotes, '\\' stands only before '\"' and '\\'");
		if (*s == '\\')
			s++;
		if (*s == '\0')
			return fail(c, e, "the closing '\"' is missing");
		*to++ = *s;
	}
	if (s[1] != '\0')
		return fail(c, e, "expected nothing behind the closing '\"'");
	*to = '\0';
	return 0;
}

static bool is_comment_start(const char *value, const char *hash)
{
	return hash == value || strchr(BLANKS, hash[-1]) != NULL;
}

static int plain_value(const struct conf *c, const char *value, struct err *e)
{
	if (value[0] == '\0')
		return fail(c, e, "expected a value behind '=' (\"\" for an empty one)");
	for (const char *p = strchr(value, '#'); p != NULL; p = strchr(p + 1, '#'))
		if (is_comment_start(value, p))
			return fail(c, e,
				    "a comment has a line of its own; a value with '#' "
				    "stands in quotes");
	if (strchr(value, '"') != NULL)
		return fail(c, e, "a value with '\"' stands in quotes as a whole");
	return 0;
}

static int parse_line(struct conf *c, char *line, conf_fn *each, void *arg, struct err *e)
{
	char *key = line + strspn(line, BLANKS), *value;
	int rc;

	trim_end(key);
	if (*key == '\0' || *key == '#')
		return 0;
	if ((value = strchr(key, '=')) == NULL)
		return err_set(e, PQC_ECONFIG, "%s: expected 'key = value', found '%.80s'",
			       c->where, key);
	*value++ = '\0';
	trim_end(key);
	if (*key == '\0')
		return fail(c, e, "expected a key before '='");
	value += strspn(value, BLANKS);
	if ((rc = note_key(c, key, e)) != 0)
		return rc;
	if (*value == '"')
		rc = unquote(c, ++value, e);
	else
		rc = plain_value(c, value, e);
	return rc != 0 ? rc : each(arg, key, value, c->where, e);
}

int conf_parse(const char *path, char *text, conf_fn *each, void *arg, struct err *e)
{
	struct conf *c = calloc(1, sizeof(*c));
	char *line;
	int rc = 0;

	if (c == NULL)
		return err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
	c->path = path;
	while (rc == 0 && (line = strsep(&text, "\n")) != NULL) {
		snprintf(c->where, sizeof(c->where), "%s:%u", path, ++c->line);
		if (!utf8_valid(line, strlen(line)))
			rc = fail(c, e, "this is not UTF-8");
		else
			rc = parse_line(c, line, each, arg, e);
	}
	free(c);
	return rc;
}

int conf_read(const char *path, conf_fn *each, void *arg, struct err *e)
{
	struct buf b = BUF_INIT(CONF_MAX);
	int rc;

	if ((rc = file_slurp(AT_FDCWD, path, &b, e)) != 0)
		goto out;
	if (buf_cstr(&b) == NULL)
		rc = err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
	else if (memchr(b.p, '\0', b.len) != NULL)
		rc = err_set(e, PQC_ECONFIG, "%s: expected text, found a zero byte", path);
	else
		rc = conf_parse(path, (char *)b.p, each, arg, e);
out:
	buf_free(&b);
	return rc;
}
