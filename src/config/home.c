#include "config/home.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define PASSWD_MAX 4096 /* bytes of an entry of the user database */

static const char *variable(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

int path_join(const char *dir, const char *leaf, char out[PATH_MAX], struct err *e)
{
	size_t n = strlen(dir);
	int len =
		snprintf(out, PATH_MAX, "%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", leaf);

	if (len < 0 || len >= PATH_MAX)
		return err_set(e, PQC_EUSAGE, "%.80s.../%.80s: too long a path", dir, leaf);
	return 0;
}

int home_dir(char out[PATH_MAX], struct err *e)
{
	const char *dir = variable("PQC_HOME");
	char names[PASSWD_MAX];
	struct passwd entry, *pw = NULL;

	if (dir == NULL)
		dir = variable("PQC_KEY_STORE_PATH"); /* the seed system's name for it */
	if (dir != NULL)
		return path_join(dir, "", out, e);
	if ((dir = variable("XDG_CONFIG_HOME")) != NULL && dir[0] == '/')
		return path_join(dir, "pqc", out, e);
	dir = variable("HOME");
	if (dir == NULL && getpwuid_r(geteuid(), &entry, names, sizeof(names), &pw) == 0 &&
	    pw != NULL)
		dir = pw->pw_dir;
	if (dir == NULL)
		return err_set(e, PQC_ECONFIG, "no home directory: set PQC_HOME");
	return path_join(dir, ".config/pqc", out, e);
}

int home_path(const char *leaf, char out[PATH_MAX], struct err *e)
{
	char dir[PATH_MAX];
	int rc = home_dir(dir, e);

	return rc != 0 ? rc : path_join(dir, leaf, out, e);
}

int path_make_parent(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (slash == NULL || slash == path)
		return 0;
	if ((size_t)(slash - path) >= sizeof(dir))
		return err_sys(e, ENAMETOOLONG, "%.80s...", path);
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	return file_mkdirs(dir, 0700, e);
}
