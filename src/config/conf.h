/*
 * Configuration files: UTF-8 text, a "key = value" a line.
 *
 *   # a comment has a line of its own
 *   listen = 0.0.0.0:8765
 *   access-file = "/srv/my files/authorized"    (quotes where blanks or # matter; \" and \\ inside)
 *
 * Everything else is an error: a key without a value, a key given twice, text
 * behind a quoted value, " #" in a value without quotes.
 */
#ifndef PQC_CONFIG_CONF_H
#define PQC_CONFIG_CONF_H

#include <stddef.h>

#include "base/err.h"

#define CONF_MAX ((size_t)256 << 10) /* bytes */

/* where: "file:line". Strings are borrowed during the call. Nonzero ends the reading. */
typedef int conf_fn(void *arg, const char *key, const char *value, const char *where,
		    struct err *e);

/* PQC_ECONFIG naming file and line; PQC_ENOTFOUND. */
int conf_read(const char *path, conf_fn *each, void *arg, struct err *e) MUST_CHECK;
/* The same for a text that was read already. Changes it. */
int conf_parse(const char *path, char *text, conf_fn *each, void *arg, struct err *e) MUST_CHECK;

#endif
