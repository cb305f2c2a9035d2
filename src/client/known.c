#include "client/known.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define KNOWN_FILE_MAX ((size_t)1 << 20)
#define BLANKS	       " \t\r"

struct line {
	const char *host_port; /* NULL: blank or a comment */
	uint8_t id[ID_LEN];
};

/* Parse a line in place. */
static int parse_line(char *text, struct line *l, struct err *e)
{
	char *rest, *id;

	l->host_port = strtok_r(text, BLANKS, &rest);
	if (l->host_port == NULL || l->host_port[0] == '#') {
		l->host_port = NULL;
		return 0;
	}
	id = strtok_r(NULL, BLANKS, &rest);
	if (strchr(l->host_port, ':') == NULL || id == NULL)
		return err_set(e, PQC_ECONFIG, "expected 'host:port identity', found '%.80s'",
			       l->host_port);
	if (hex_decode(id, l->id, ID_LEN) != 0)
		return err_set(e, PQC_ECONFIG,
			       "expected an identity of 64 hex digits, found '%.80s'", id);
	return 0;
}

/* Each line that pins; nonzero from each stops and is returned. A missing file has none. */
static int each_line(const char *path, int (*each)(void *arg, const struct line *l), void *arg,
		     struct err *e)
{
	struct buf b = BUF_INIT(KNOWN_FILE_MAX);
	struct line l;
	char *text, *line;
	int rc;

	if ((rc = file_slurp(AT_FDCWD, path, &b, e)) != 0) {
		rc = rc == PQC_ENOTFOUND ? 0 : rc;
		goto out;
	}
	if (buf_cstr(&b) == NULL) {
		rc = err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
		goto out;
	}
	text = (char *)b.p;
	if (memchr(text, '\0', b.len) != NULL) {
		rc = err_set(e, PQC_ECONFIG, "%s: expected text, found a zero byte", path);
		goto out;
	}
	for (unsigned n = 1; (line = strsep(&text, "\n")) != NULL; n++) {
		if ((rc = parse_line(line, &l, e)) != 0) {
			err_prefix(e, "%s:%u", path, n);
			break;
		}
		if (l.host_port != NULL && (rc = each(arg, &l)) != 0)
			break;
	}
out:
	buf_free(&b);
	return rc;
}

/* ---- asking ---- */

struct search {
	const char *host_port;
	const uint8_t *id;
	uint8_t pinned[ID_LEN]; /* the first that is pinned for the host */
	bool found, equal;
};

static int look_at(void *arg, const struct line *l)
{
	struct search *s = arg;

	if (strcasecmp(l->host_port, s->host_port) != 0)
		return 0;
	if (!s->found)
		memcpy(s->pinned, l->id, ID_LEN);
	s->found = true;
	s->equal |= memcmp(l->id, s->id, ID_LEN) == 0;
	return 0;
}

int known_check(const char *path, const char *host_port, const uint8_t id[ID_LEN],
		uint8_t pinned[ID_LEN], struct err *e)
{
	struct search s = {.host_port = host_port, .id = id};
	int rc = each_line(path, look_at, &s, e);

	if (rc != 0 || s.equal)
		return rc;
	if (!s.found)
		return err_set(e, PQC_EUNKNOWN_SERVER, "no identity is pinned for %s in %s",
			       host_port, path);
	memcpy(pinned, s.pinned, ID_LEN);
	return err_set(e, PQC_EIDENTITY_CHANGED, "another identity is pinned for %s in %s",
		       host_port, path);
}

struct lister {
	int (*each)(void *arg, const char *host_port, const uint8_t *id);
	void *arg;
};

static int pass_on(void *arg, const struct line *l)
{
	struct lister *to = arg;

	return to->each(to->arg, l->host_port, l->id);
}

int known_list(const char *path, int (*each)(void *arg, const char *host_port, const uint8_t *id),
	       void *arg, struct err *e)
{
	struct lister to = {each, arg};

	return each_line(path, pass_on, &to, e);
}

/* ---- editing ---- */

/* "host:port" that a line can hold? */
static int check_host_port(const char *s, struct err *e)
{
	const char *colon = strrchr(s, ':');
	uint64_t port;

	if (colon != NULL && colon > s && s[0] != '#' && strpbrk(s, BLANKS "\n") == NULL &&
	    utf8_valid(s, strlen(s)) && parse_u64(colon + 1, 1, 65535, &port) == 0)
		return 0;
	return err_set(e, PQC_EUSAGE, "expected host:port, found '%.200s'", s);
}

/* Make the directory of the file, and lock it: a file that is replaced is nothing to lock. */
static int lock_dir(const char *path, int *fd, struct err *e)
{
	char copy[PATH_MAX];
	const char *dir;
	int rc;

	if (strlen(path) >= sizeof(copy))
		return err_sys(e, ENAMETOOLONG, "%s", path);
	strcpy(copy, path);
	dir = dirname(copy);
	if ((rc = file_mkdirs(dir, 0700, e)) != 0)
		return rc;
	if ((*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "%s", dir);
	if (flock(*fd, LOCK_EX) == 0)
		return 0;
	rc = err_sys(e, errno, "lock of %s", dir);
	close(*fd);
	return rc;
}

static int slurp_if_there(const char *path, struct buf *b, struct err *e)
{
	int rc = file_slurp(AT_FDCWD, path, b, e);

	return rc == PQC_ENOTFOUND ? 0 : rc;
}

static int append_line(const char *path, const char *host_port, const uint8_t id[ID_LEN],
		       struct err *e)
{
	struct buf b = BUF_INIT(KNOWN_FILE_MAX);
	char hex[2 * ID_LEN + 1];
	int rc;

	if ((rc = slurp_if_there(path, &b, e)) != 0)
		goto out;
	hex_encode(id, ID_LEN, hex);
	if (b.len > 0 && b.p[b.len - 1] != '\n')
		buf_put_u8(&b, '\n');
	buf_printf(&b, "%s %s\n", host_port, hex);
	if ((rc = buf_error(&b)) != 0)
		err_set(e, rc, "%s: the file would be too large", path);
	else
		rc = file_replace(AT_FDCWD, path, b.p, b.len, 0600, e);
out:
	buf_free(&b);
	return rc;
}

int known_add(const char *path, const char *host_port, const uint8_t id[ID_LEN], struct err *e)
{
	uint8_t pinned[ID_LEN];
	int lock, rc;

	if ((rc = check_host_port(host_port, e)) != 0 || (rc = lock_dir(path, &lock, e)) != 0)
		return rc;
	rc = known_check(path, host_port, id, pinned, e);
	if (rc == PQC_EUNKNOWN_SERVER)
		rc = append_line(path, host_port, id, e);
	else if (rc == PQC_EIDENTITY_CHANGED)
		rc = err_set(e, PQC_EEXIST,
			     "another identity is pinned for %s in %s: remove it first", host_port,
			     path);
	close(lock);
	return rc;
}

/* Is this line, n bytes, one of host_port? */
static bool is_line_of(const char *line, size_t n, const char *host_port)
{
	size_t blank = strspn(line, BLANKS), len = strlen(host_port);

	return n > blank + len && strncasecmp(line + blank, host_port, len) == 0 &&
	       strchr(BLANKS, line[blank + len]) != NULL;
}

static int drop_lines(const char *path, const char *host_port, struct err *e)
{
	struct buf b = BUF_INIT(KNOWN_FILE_MAX), kept = BUF_INIT(KNOWN_FILE_MAX);
	const char *line;
	size_t n;
	int rc;

	if ((rc = slurp_if_there(path, &b, e)) != 0)
		goto out;
	if ((line = buf_cstr(&b)) == NULL) {
		rc = err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
		goto out;
	}
	for (; *line != '\0'; line += n) {
		n = strcspn(line, "\n");
		n += line[n] == '\n';
		if (!is_line_of(line, n, host_port))
			buf_put(&kept, line, n);
	}
	if (kept.len == b.len)
		rc = err_set(e, PQC_ENOTFOUND, "no identity is pinned for %s in %s", host_port,
			     path);
	else if ((rc = buf_error(&kept)) != 0)
		err_set(e, rc, "%s: no memory to edit it", path);
	else
		rc = file_replace(AT_FDCWD, path, kept.p, kept.len, 0600, e);
out:
	buf_free(&b);
	buf_free(&kept);
	return rc;
}

int known_remove(const char *path, const char *host_port, struct err *e)
{
	int lock, rc;

	if ((rc = check_host_port(host_port, e)) != 0 || (rc = lock_dir(path, &lock, e)) != 0)
		return rc;
	rc = drop_lines(path, host_port, e);
	close(lock);
	return rc;
}

int known_host(const char *text, char host_port[KNOWN_HOST_MAX], struct err *e)
{
	char whole[URL_HOST_MAX + 64];
	struct url u;
	int rc;

	snprintf(whole, sizeof(whole), "pqc://%.300s", text);
	if ((rc = url_parse(strstr(text, "://") != NULL ? text : whole, &u, e)) != 0)
		return rc;
	if (u.name[0] != '\0')
		return err_set(e, PQC_EUSAGE, "expected HOST[:PORT], found '%.80s'", text);
	strcpy(host_port, u.host_port);
	return 0;
}
