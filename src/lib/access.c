/* Who may do what on a server: the lines of its access file. */
#include "server/access.h"
#include "config/home.h"
#include "lib/lib.h"

int pqc_access_allow(const char *path, const struct pqc_public *who, const char *rights,
		     const char *pattern, struct pqc_error *e)
{
	struct access_grant g = {.rights = rights != NULL ? rights : ACCESS_DEFAULT_RIGHTS,
				 .pattern = pattern != NULL ? pattern : ACCESS_DEFAULT_PATTERN};
	struct err err = {0};
	int rc;

	if ((rc = lib_need(path, "path", &err)) != 0 || (rc = lib_need(who, "who", &err)) != 0 ||
	    (rc = path_make_parent(path, &err)) != 0)
		goto out;
	if (who->is.comment[0] != '\0')
		g.name = who->is.comment;
	rc = access_file_allow(path, who->is.id, &g, &err);
out:
	return lib_done(rc, &err, e);
}

int pqc_access_deny(const char *path, const uint8_t id[PQC_ID_SIZE], struct pqc_error *e)
{
	struct err err = {0};
	int rc;

	if ((rc = lib_need(path, "path", &err)) == 0 && (rc = lib_need(id, "id", &err)) == 0)
		rc = access_file_deny(path, id, &err);
	return lib_done(rc, &err, e);
}
