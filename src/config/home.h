/* Where things of a user are, and paths. */
#ifndef PQC_CONFIG_HOME_H
#define PQC_CONFIG_HOME_H

#include <limits.h>

#include "base/err.h"

/*
 * $PQC_HOME, $PQC_KEY_STORE_PATH, $XDG_CONFIG_HOME/pqc or ~/.config/pqc, the first that is set.
 */
int home_dir(char out[PATH_MAX], struct err *e) MUST_CHECK;
/* A file in it. */
int home_path(const char *leaf, char out[PATH_MAX], struct err *e) MUST_CHECK;
/* dir/leaf; PQC_EUSAGE when that is too long. */
int path_join(const char *dir, const char *leaf, char out[PATH_MAX], struct err *e) MUST_CHECK;
/* Make the directory that holds path, readable by its owner only. */
int path_make_parent(const char *path, struct err *e) MUST_CHECK;

#endif
