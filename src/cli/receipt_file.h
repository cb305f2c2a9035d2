/* Receipts in files, and what they prove, in words. */
#ifndef PQC_CLI_RECEIPT_FILE_H
#define PQC_CLI_RECEIPT_FILE_H

#include <limits.h>

#include "base/buf.h"
#include "container/manifest.h"

/*
 * Write a receipt: to where, or to a file of the object's base name in where when
 * that is a directory or ends with '/'; where NULL: state/receipts/<file id>.receipt. The
 * path is written to path.
 */
int receipt_write(const char *where, const char *name, const uint8_t file_id[32],
		  const struct buf *pem, char path[PATH_MAX], struct err *e) MUST_CHECK;

#endif
