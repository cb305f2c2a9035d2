/* Editing the list. Comments and order stay; what would make the file wrong is not written. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "server/access_impl.h"

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

static int check_text(const struct edit *d, struct err *e)
{
	struct access *a;
	int rc;

	if (buf_error(&d->text) != 0)
		return err_set(e, buf_error(&d->text), "%s: the file would be too large", d->path);
	if ((a = access_new()) == NULL)
		return err_set(e, PQC_ENOMEM, "%s: no memory to read it", d->path);
	buf_put(&a->text, d->text.p, d->text.len);
	rc = access_parse(a, d->path, e);
	access_free(a);
	return rc;
}

/* Lock and read the file, which must be well-formed or missing. */
static int edit_begin(struct edit *d, const char *path, struct err *e)
{
	char dir[PATH_MAX];
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
	if (stat(path, &st) == 0)
		d->mode = st.st_mode & 0777;
	rc = file_slurp(AT_FDCWD, path, &d->text, e);
	if (rc == PQC_ENOTFOUND)
		return 0;
	return rc != 0 ? rc : check_text(d, e);
}

static int edit_write(const struct edit *d, const struct buf *text, struct err *e)
{
	if (buf_error(text) != 0)
		return err_set(e, buf_error(text), "%s: the file would be too large", d->path);
	return file_replace(AT_FDCWD, d->path, text->p, text->len, d->mode, e);
}

/* ---- adding ---- */

/* A line that is well-formed by itself may still be wrong beside the others. */
static int add_line(const char *path, const struct buf *line, struct err *e)
{
	struct edit d;
	int rc;

	if ((rc = edit_begin(&d, path, e)) != 0)
		goto out;
	if (d.text.len > 0 && d.text.p[d.text.len - 1] != '\n')
		buf_put_u8(&d.text, '\n');
	buf_put(&d.text, line->p, line->len);
	buf_put_u8(&d.text, '\n');
	rc = buf_error(line) != 0 ? err_set(e, buf_error(line), "%s: too large a line", path)
				  : check_text(&d, e);
	if (rc == PQC_ECONFIG)
		rc = err_set(e, PQC_EUSAGE, "this line would be wrong: %s",
			     e != NULL ? e->msg : "");
	if (rc == 0)
		rc = edit_write(&d, &d.text, e);
out:
	edit_end(&d);
	return rc;
}

static int check_rights(const char *rights, const char *pattern, struct err *e)
{
	unsigned bits;
	int rc;

	if ((rc = access_rights_parse(rights, &bits, e)) != 0 ||
	    (rc = access_pattern_check(pattern, e)) != 0)
		return rc;
	if (strpbrk(pattern, ACCESS_BLANKS) != NULL)
		return err_set(e, PQC_EUSAGE,
			       "a pattern cannot hold blanks: put '*' in their place");
	return 0;
}

static int check_name(const char *name, struct err *e)
{
	if (strpbrk(name, "\r\n") != NULL || !utf8_valid(name, strlen(name)))
		return err_set(e, PQC_EUSAGE, "the name of an identity is one line of UTF-8");
	for (; *name != '\0'; name += strspn(name, ACCESS_BLANKS)) {
		if (strncasecmp(name, "quota=", 6) == 0)
			return err_set(e, PQC_EUSAGE,
				       "a word of an identity's name cannot begin with quota=");
		name += strcspn(name, ACCESS_BLANKS);
	}
	return 0;
}

static int check_grant(const struct access_grant *g, struct err *e)
{
	uint64_t bytes;
	int rc;

	rc = g->role != NULL ? access_role_check(g->role, e)
			     : check_rights(g->rights, g->pattern, e);
	if (rc == 0 && g->name != NULL)
		rc = check_name(g->name, e);
	if (rc == 0 && g->quota != NULL)
		rc = access_quota_parse(g->quota, &bytes, e);
	return rc;
}

int access_file_allow(const char *path, const uint8_t id[ID_LEN], const struct access_grant *g,
		      struct err *e)
{
	struct buf line = BUF_INIT(ACCESS_FILE_MAX);
	char hex[2 * ID_LEN + 1];
	int rc;

	if ((rc = check_grant(g, e)) != 0)
		return rc;
	hex_encode(id, ID_LEN, hex);
	if (g->role != NULL)
		buf_printf(&line, "%s @%s", hex, g->role);
	else
		buf_printf(&line, "%s %s %s", hex, g->rights, g->pattern);
	if (g->name != NULL)
		buf_printf(&line, " %s", g->name);
	if (g->quota != NULL)
		buf_printf(&line, " quota=%s", g->quota);
	rc = add_line(path, &line, e);
	buf_free(&line);
	return rc;
}

int access_file_role(const char *path, const char *role, const char *rights, const char *pattern,
		     struct err *e)
{
	struct buf line = BUF_INIT(ACCESS_FILE_MAX);
	int rc;

	if ((rc = access_role_check(role, e)) != 0 || (rc = check_rights(rights, pattern, e)) != 0)
		return rc;
	buf_printf(&line, "role %s %s %s", role, rights, pattern);
	rc = add_line(path, &line, e);
	buf_free(&line);
	return rc;
}

/* ---- removing ---- */

/* Is this line, n bytes of a well-formed file, one of id's? */
static bool is_line_of(const char *line, size_t n, const char *hex)
{
	size_t blank = strspn(line, ACCESS_BLANKS);

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
