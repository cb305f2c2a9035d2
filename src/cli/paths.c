/* Where things are. */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"

int path_option(const struct cli *c, const char *option, const char *leaf, char out[PATH_MAX],
		struct err *e)
{
	const char *path = opt_text(c->opts, option);

	if (path == NULL)
		return home_path(leaf, out, e);
	if (strlen(path) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "--%s", option);
	strcpy(out, path);
	return 0;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;

	return base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ? NULL : base;
}
