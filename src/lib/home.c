/* Paths of this user, and the servers he knows. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "client/known.h"
#include "config/home.h"
#include "lib/lib.h"

int pqc_home_path(const char *leaf, struct pqc_buffer *path, struct pqc_error *e)
{
	struct buf b = BUF_INIT(PATH_MAX);
	char text[PATH_MAX];
	struct err err = {0};
	int rc;

	if ((rc = lib_need(path, "path", &err)) != 0)
		goto out;
	*path = (struct pqc_buffer){.data = NULL};
	if ((rc = lib_need(leaf, "leaf", &err)) != 0 ||
	    (rc = leaf[0] != '\0' ? home_path(leaf, text, &err) : home_dir(text, &err)) != 0)
		goto out;
	buf_put_str(&b, text);
	while (leaf[0] == '\0' && b.len > 1 && b.p[b.len - 1] == '/')
		buf_truncate(&b, b.len - 1);
	rc = lib_give(&b, path, &err);
out:
	buf_free(&b);
	return lib_done(rc, &err, e);
}

/* Where the pins are, and what is pinned there, from what the caller gave. */
static int find_pins(const char *path, const char *host_port, char file[PATH_MAX],
		     char key[KNOWN_HOST_MAX], struct err *e)
{
	int rc;

	if ((rc = lib_need(host_port, "host_port", e)) != 0 ||
	    (rc = known_host(host_port, key, e)) != 0)
		return rc;
	if (path == NULL)
		rc = home_path("known_servers", file, e);
	else if (snprintf(file, PATH_MAX, "%s", path) >= PATH_MAX)
		rc = err_set(e, PQC_EUSAGE, "path: %.80s...: too long", path);
	return rc != 0 ? rc : path_make_parent(file, e);
}

int pqc_known_add(const char *path, const char *host_port, const uint8_t server_id[PQC_ID_SIZE],
		  struct pqc_error *e)
{
	char file[PATH_MAX], key[KNOWN_HOST_MAX];
	struct err err = {0};
	int rc;

	if ((rc = lib_need(server_id, "server_id", &err)) == 0 &&
	    (rc = find_pins(path, host_port, file, key, &err)) == 0)
		rc = known_add(file, key, server_id, &err);
	return lib_done(rc, &err, e);
}

int pqc_known_remove(const char *path, const char *host_port, struct pqc_error *e)
{
	char file[PATH_MAX], key[KNOWN_HOST_MAX];
	struct err err = {0};
	int rc;

	if ((rc = find_pins(path, host_port, file, key, &err)) == 0)
		rc = known_remove(file, key, &err);
	return lib_done(rc, &err, e);
}
