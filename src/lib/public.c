/* Public identities. The line stays with its object: only its owner could sign another. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "lib/lib.h"

#define LINE_MAX_BYTES 16384

static int parse(const char *line, size_t n, struct pqc_public **out, struct err *e)
{
	struct pqc_public *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = public_identity_decode(line, n, &p->is, e)) != 0)
		goto out;
	if ((p->line = strndup(line, line[n - 1] == '\n' ? n - 1 : n)) == NULL) {
		rc = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	*out = p;
	p = NULL;
out:
	pqc_public_free(p);
	return rc;
}

int lib_public_of(const struct identity *id, const char *comment, struct pqc_public **out,
		  struct err *e)
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);
	int rc = public_identity_encode(id, comment, &line);

	if (rc == 0)
		rc = parse((const char *)line.p, line.len, out, e);
	else
		err_set(e, rc, "%s",
			rc == PQC_EUSAGE ? "comment is longer than 127 bytes or not printable"
					 : "the public identity could not be made");
	buf_free(&line);
	return rc;
}

int pqc_identity_public(const struct pqc_identity *id, const char *comment, struct pqc_public **out,
			struct pqc_error *e)
{
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(id, "id", &err)) == 0)
		rc = lib_public_of(id->id, comment, out, &err);
out:
	return lib_done(rc, &err, e);
}

int pqc_public_load(const char *path, struct pqc_public **out, struct pqc_error *e)
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(path, "path", &err)) == 0 &&
	    (rc = file_slurp(AT_FDCWD, path, &line, &err)) == 0 &&
	    (rc = parse((const char *)line.p, line.len, out, &err)) != 0)
		err_prefix(&err, "%s", path);
out:
	buf_free(&line);
	return lib_done(rc, &err, e);
}

int pqc_public_parse(const char *line, size_t size, struct pqc_public **out, struct pqc_error *e)
{
	struct err err = {0};
	int rc;

	if ((rc = lib_need(out, "out", &err)) != 0)
		goto out;
	*out = NULL;
	if ((rc = lib_need(line, "line", &err)) == 0)
		rc = parse(line, size, out, &err);
out:
	return lib_done(rc, &err, e);
}

const char *pqc_public_text(const struct pqc_public *p)
{
	return p->line;
}

const uint8_t *pqc_public_id(const struct pqc_public *p)
{
	return p->is.id;
}

const char *pqc_public_suite(const struct pqc_public *p)
{
	return p->is.suite->name;
}

void pqc_public_free(struct pqc_public *p)
{
	if (p == NULL)
		return;
	free(p->line);
	free(p);
}
