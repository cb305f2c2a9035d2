#include "cli/receipt_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"

static bool is_directory(const char *path)
{
	size_t n = strlen(path);
	struct stat st;

	return (n > 0 && path[n - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

static int choose_path(const char *where, const char *name, const uint8_t file_id[32],
		       char path[PATH_MAX], struct err *e)
{
	char leaf[NAME_MAX + 1], hex[65], dir[PATH_MAX];
	int rc;

	if (where != NULL && !is_directory(where)) {
		if (strlen(where) >= PATH_MAX)
			return err_sys(e, ENAMETOOLONG, "%.80s...", where);
		strcpy(path, where);
		return 0;
	}
	if (where != NULL) {
		const char *base = strrchr(name, '/');

		snprintf(leaf, sizeof(leaf), "%.240s.receipt", base != NULL ? base + 1 : name);
		return path_join(where, leaf, path, e);
	}
	hex_encode(file_id, 32, hex);
	snprintf(leaf, sizeof(leaf), "%s.receipt", hex);
	if ((rc = home_path("state/receipts", dir, e)) != 0)
		return rc;
	return path_join(dir, leaf, path, e);
}

int receipt_write(const char *where, const char *name, const uint8_t file_id[32],
		  const struct buf *pem, char path[PATH_MAX], struct err *e)
{
	int rc;

	if ((rc = choose_path(where, name, file_id, path, e)) != 0 ||
	    (rc = path_make_parent(path, e)) != 0)
		return rc;
	return file_replace(AT_FDCWD, path, pem->p, pem->len, 0644, e);
}
