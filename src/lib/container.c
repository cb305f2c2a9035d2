/* Containers that lie there: how long one is, what it says, who can open it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/defaults.h"
#include "client/inspect_json.h"
#include "lib/whom.h"

uint64_t pqc_sealed_size(const char *suite, uint64_t size, uint32_t part_size, int is_signed)
{
	const struct suite *s = NULL;
	struct err err;

	if (part_size == 0)
		part_size = default_size(DEFAULT_SEAL_PART);
	if (lib_suite(suite, &s, &err) != 0)
		return PQC_SIZE_UNKNOWN;
	if (s == NULL)
		s = suite_by_id(SUITE_KYBER768);
	return seal_size(s, part_size, size, is_signed != 0);
}

/* ---- inspect ---- */

static int inspect(const char *path, struct inspect_result *r, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	if ((rc = inspect_file(fd, r, e)) != 0)
		err_prefix(e, "%s", path);
	close(fd);
	return rc;
}

int pqc_inspect(const char *path, struct pqc_buffer *json, struct pqc_error *e)
{
	struct inspect_result *r = NULL;
	struct err err = {0};
	struct json j;
	int rc;

	if ((rc = lib_need(json, "json", &err)) != 0)
		goto out;
	*json = (struct pqc_buffer){.data = NULL};
	if ((rc = lib_need(path, "path", &err)) != 0)
		goto out;
	if ((r = malloc(sizeof(*r))) == NULL) {
		rc = err_set(&err, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((rc = inspect(path, r, &err)) != 0)
		goto out;
	inspect_json(path, r, &j);
	json_close(&j, '}');
	rc = lib_give(&j.b, json, &err);
	buf_free(&j.b);
out:
	free(r);
	return lib_done(rc, &err, e);
}

/* ---- rewrap ---- */

static const struct lib_options rewrap_options = {"struct pqc_rewrap_options",
						  LIB_UP_TO(struct pqc_rewrap_options, add),
						  sizeof(struct pqc_rewrap_options)};

/* What would change something else than who can open it is refused, rather than ignored. */
static int check_added(const struct pqc_seal_options *o, struct err *e)
{
	const char *what = o->suite != NULL    ? "suite"
			   : o->sign != NULL   ? "sign"
			   : o->part_size != 0 ? "part_size"
			   : o->sha256 != NULL ? "sha256"
					       : NULL;

	if (what == NULL)
		return 0;
	return err_set(e, PQC_EUSAGE, "add->%s: a container's body is not made anew by a rewrap",
		       what);
}

static int rewrap(const char *path, const struct pqc_rewrap_options *o, struct err *e)
{
	struct whom opener = {.list = NULL}, added = {.list = NULL};
	struct pqc_open_options keys;
	struct pqc_seal_options add;
	struct rewrap_opts r = {.dirfd = AT_FDCWD,
				.path = path,
				.remove = o->remove,
				.nremove = o->remove_count,
				.remove_all = o->remove_all != 0};
	int rc;

	if (o->remove_count > 0 && o->remove == NULL)
		return err_set(e, PQC_EUSAGE, "remove is NULL and remove_count is %zu",
			       o->remove_count);
	if (o->remove_count == 0 && o->remove_all == 0 && o->add == NULL)
		return err_set(e, PQC_EUSAGE, "what shall change? set remove, remove_all or add");
	if ((rc = lib_need(o->keys, "keys", e)) != 0 ||
	    (rc = whom_take_open(o->keys, &keys, e)) != 0 ||
	    (rc = whom_open(&opener, &keys, &r.keys, e)) != 0)
		goto out;
	if (o->add != NULL &&
	    ((rc = whom_take_seal(o->add, &add, e)) != 0 || (rc = check_added(&add, e)) != 0 ||
	     (rc = whom_seal(&added, &add, &r.add, e)) != 0))
		goto out;
	rc = rewrap_file(&r, NULL, e);
out:
	whom_free(&opener);
	whom_free(&added);
	return rc;
}

int pqc_rewrap(const char *path, const struct pqc_rewrap_options *o, struct pqc_error *e)
{
	struct pqc_rewrap_options own;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(path, "path", &err)) == 0 && (rc = lib_need(o, "o", &err)) == 0 &&
	    (rc = lib_take(&rewrap_options, o, &own, &err)) == 0)
		rc = rewrap(path, &own, &err);
	return lib_done(rc, &err, e);
}
