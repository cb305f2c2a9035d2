#include "server/access.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <errno.h>
#include <libgen.h>
#include <limits.h>

#include "base/file.h"
#include "base/text.h"

#define ACCESS_FILE_MAX ((size_t)16 << 20)
#define BLANKS		" \t\r"

struct rule {
	uint8_t id[ID_LEN];
	unsigned rights;
	const char *pattern, *name; /* in access.text; name NULL: none */
	size_t line;
};

struct access {
	struct buf text;   /* the file, cut into strings */
	struct rule *rule; /* sorted by id, then line */
	size_t n;
};

/* ---- rights and patterns ---- */

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

static int pattern_check(const char *s, struct err *e)
{
	const char *two = strstr(s, "**");
	int rc = name_check(s, strlen(s), e);

	if (rc != 0)
		return rc;
	if (two != NULL && ((two > s && two[-1] != '/') || two[2] != '\0'))
		return err_set(e, PQC_ENAME, "'%.200s': '**' stands only as the last component", s);
	return 0;
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

/* ---- reading ---- */

/* Parse a line in place. *blank: it has no rule. The message is without file and line. */
static int parse_line(char *line, struct rule *r, bool *blank, struct err *e)
{
	char *rest, *id, *rights, *end;
	int rc;

	id = strtok_r(line, BLANKS, &rest);
	*blank = id == NULL || id[0] == '#';
	if (*blank)
		return 0;
	rights = strtok_r(NULL, BLANKS, &rest);
	r->pattern = rights != NULL ? strtok_r(NULL, BLANKS, &rest) : NULL;
	if (r->pattern == NULL)
		return err_set(e, PQC_ECONFIG,
			       "expected an identity, rights and a pattern, found '%.80s'", id);
	if (hex_decode(id, r->id, ID_LEN) != 0)
		return err_set(e, PQC_ECONFIG,
			       "expected an identity of 64 hex digits, found '%.80s'", id);
	if ((rc = access_rights_parse(rights, &r->rights, e)) != 0 ||
	    (rc = pattern_check(r->pattern, e)) != 0)
		return rc;
	r->name = rest + strspn(rest, BLANKS);
	for (end = rest + strlen(rest); end > rest && strchr(BLANKS, end[-1]) != NULL; end--)
		end[-1] = '\0';
	if (!utf8_valid(r->name, strlen(r->name)))
		return err_set(e, PQC_ECONFIG, "the name of the identity is not valid UTF-8");
	if (r->name[0] == '\0')
		r->name = NULL;
	return 0;
}

static int add_rule(struct access *a, const struct rule *r)
{
	/* Grown at every power of two. */
	if ((a->n & (a->n - 1)) == 0) {
		size_t cap = a->n == 0 ? 1 : 2 * a->n;
		struct rule *more = reallocarray(a->rule, cap, sizeof(*more));

		if (more == NULL)
			return PQC_ENOMEM;
		a->rule = more;
	}
	a->rule[a->n++] = *r;
	return 0;
}

static int compare_rules(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int order = memcmp(x->id, y->id, ID_LEN);

	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int parse_text(struct access *a, const char *path, struct err *e)
{
	char *text, *line;
	struct rule r = {0};
	bool blank;
	int rc;

	if (buf_cstr(&a->text) == NULL)
		return err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
	text = (char *)a->text.p;
	if (memchr(text, '\0', a->text.len) != NULL)
		return err_set(e, PQC_ECONFIG, "%s: expected text, found a zero byte", path);
	while ((line = strsep(&text, "\n")) != NULL) {
		r.line++;
		if ((rc = parse_line(line, &r, &blank, e)) != 0) {
			err_prefix(e, "%s:%zu", path, r.line);
			return err_set(e, PQC_ECONFIG, "%s", e != NULL ? e->msg : "");
		}
		if (!blank && (rc = add_rule(a, &r)) != 0)
			return err_set(e, rc, "%s: no memory to read it", path);
	}
	if (a->n > 0)
		qsort(a->rule, a->n, sizeof(*a->rule), compare_rules);
	return 0;
}

int access_load(const char *path, struct access **out, struct err *e)
{
	struct access *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
	buf_init(&a->text, ACCESS_FILE_MAX);
	rc = file_slurp(AT_FDCWD, path, &a->text, e);
	if (rc == 0)
		rc = parse_text(a, path, e);
	if (rc != 0 && rc != PQC_ENOTFOUND) {
		access_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

void access_free(struct access *a)
{
	if (a == NULL)
		return;
	free(a->rule);
	buf_free(&a->text);
	free(a);
}

/* ---- asking ---- */

/* Index of the first rule of this id, or of what would follow it. */
static size_t first_rule(const struct access *a, const uint8_t id[ID_LEN])
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(a->rule[mid].id, id, ID_LEN) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_rule_of(const struct access *a, size_t i, const uint8_t id[ID_LEN])
{
	return i < a->n && memcmp(a->rule[i].id, id, ID_LEN) == 0;
}

bool access_allows(const struct access *a, const uint8_t id[ID_LEN], unsigned right,
		   const char *name)
{
	unsigned missing = right;

	for (size_t i = first_rule(a, id); missing != 0 && is_rule_of(a, i, id); i++)
		if ((a->rule[i].rights & missing) != 0 && access_match(a->rule[i].pattern, name))
			missing &= ~a->rule[i].rights;
	return right != 0 && missing == 0;
}

bool access_knows(const struct access *a, const uint8_t id[ID_LEN])
{
	return is_rule_of(a, first_rule(a, id), id);
}

const char *access_name(const struct access *a, const uint8_t id[ID_LEN])
{
	for (size_t i = first_rule(a, id); is_rule_of(a, i, id); i++)
		if (a->rule[i].name != NULL)
			return a->rule[i].name;
	return NULL;
}

size_t access_count(const struct access *a)
{
	return a->n;
}

/* ---- editing ---- */

struct edit {
	const char *path;
	int lock; /* on the directory: a file that is replaced is nothing to lock */
	struct buf text;
	mode_t mode;
};

static void edit_end(struct edit *d)
{
	if (d->lock >= 0)
		close(d->lock);
	buf_free(&d->text);
}

/* Lock and read the file, which must be well-formed or missing. */
static int edit_begin(struct edit *d, const char *path, struct err *e)
{
	char dir[PATH_MAX];
	struct access *a;
	struct stat st;
	int rc;

	*d = (struct edit){.path = path, .lock = -1, .mode = 0644};
	buf_init(&d->text, ACCESS_FILE_MAX);
	if (strlen(path) >= sizeof(dir))
		return err_sys(e, ENAMETOOLONG, "%s", path);
	strcpy(dir, path);
	d->lock = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->lock < 0 || flock(d->lock, LOCK_EX) != 0)
		return err_sys(e, errno, "%s: its directory", path);
	if ((rc = access_load(path, &a, e)) != 0)
		return rc;
	access_free(a);
	if (stat(path, &st) == 0)
		d->mode = st.st_mode & 0777;
	rc = file_slurp(AT_FDCWD, path, &d->text, e);
	return rc == PQC_ENOTFOUND ? 0 : rc;
}

static int edit_write(const struct edit *d, const struct buf *text, struct err *e)
{
	if (buf_error(text) != 0)
		return err_set(e, buf_error(text), "%s: the file would be too large", d->path);
	return file_replace(AT_FDCWD, d->path, text->p, text->len, d->mode, e);
}

int access_file_allow(const char *path, const uint8_t id[ID_LEN], const char *rights,
		      const char *pattern, const char *name, struct err *e)
{
	char hex[2 * ID_LEN + 1];
	struct edit d;
	unsigned bits;
	int rc;

	if ((rc = access_rights_parse(rights, &bits, e)) != 0 ||
	    (rc = pattern_check(pattern, e)) != 0)
		return rc;
	if (strpbrk(pattern, BLANKS) != NULL)
		return err_set(e, PQC_EUSAGE,
			       "a pattern cannot hold blanks: put '*' in their place");
	if (name != NULL && (strpbrk(name, "\r\n") != NULL || !utf8_valid(name, strlen(name))))
		return err_set(e, PQC_EUSAGE, "the name of an identity is one line of UTF-8");
	if ((rc = edit_begin(&d, path, e)) == 0) {
		hex_encode(id, ID_LEN, hex);
		if (d.text.len > 0 && d.text.p[d.text.len - 1] != '\n')
			buf_put_u8(&d.text, '\n');
		buf_printf(&d.text, "%s %s %s%s%s\n", hex, rights, pattern, name ? " " : "",
			   name ? name : "");
		rc = edit_write(&d, &d.text, e);
	}
	edit_end(&d);
	return rc;
}

/* Is this line, n bytes of a well-formed file, one of id's? */
static bool is_line_of(const char *line, size_t n, const char *hex)
{
	size_t blank = strspn(line, BLANKS);

	return n >= blank + 2 * ID_LEN && strncasecmp(line + blank, hex, 2 * ID_LEN) == 0;
}

int access_file_deny(const char *path, const uint8_t id[ID_LEN], struct err *e)
{
	char hex[2 * ID_LEN + 1];
	struct buf kept = BUF_INIT(ACCESS_FILE_MAX);
	struct edit d;
	const char *line;
	size_t n;
	int rc;

	hex_encode(id, ID_LEN, hex);
	if ((rc = edit_begin(&d, path, e)) != 0)
		goto out;
	if ((line = buf_cstr(&d.text)) == NULL) {
		rc = err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
		goto out;
	}
	for (; *line != '\0'; line += n) {
		n = strcspn(line, "\n");
		n += line[n] == '\n';
		if (!is_line_of(line, n, hex))
			buf_put(&kept, line, n);
	}
	if (kept.len == d.text.len)
		rc = err_set(e, PQC_ENOTFOUND, "%s: no line of identity %s", path, hex);
	else
		rc = edit_write(&d, &kept, e);
out:
	edit_end(&d);
	buf_free(&kept);
	return rc;
}
