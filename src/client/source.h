/*
 * What a put reads: a regular file, part by part in any order, or a stream,
 * whose parts are kept until they are released, so that both can be read again
 * when a connection broke.
 */
#ifndef PQC_CLIENT_SOURCE_H
#define PQC_CLIENT_SOURCE_H

#include "client/client.h"

#define SOURCE_KEEP 16 /* parts of a stream that are kept at most */

struct psource;

/*
 * path NULL: read fd, which stays the caller's. part: plaintext bytes of a part. A wait
 * for a stream ends when *cancel (may be NULL) is set. PQC_ENOTFOUND, PQC_EUSAGE (a directory).
 */
int psource_open(struct psource **out, const struct put_opts *from, size_t part,
		 const atomic_bool *cancel, struct err *e) MUST_CHECK;
void psource_free(struct psource *s);
/* PQX_SIZE_UNKNOWN for a stream. */
uint64_t psource_size(const struct psource *s);
/* dev, inode, size, mtime, ctime, hashed; of a stream: random. */
const uint8_t *psource_fingerprint(const struct psource *s);
/*
 * Part i's plaintext into out, *n bytes, *final in the last part. A stream is
 * read in order and only up to SOURCE_KEEP parts past the last released one;
 * it may block. PQC_ENOTFOUND: past the end. PQC_ECHANGED: the file got shorter.
 * A file may be read from several threads; a stream by one at a time.
 */
int psource_read(struct psource *s, uint64_t i, uint8_t *out, size_t *n, bool *final,
		 struct err *e) MUST_CHECK;
/* Parts below i are not needed any more. */
void psource_release(struct psource *s, uint64_t i);
/* Is the file still the one that was opened, unchanged? A stream always is. PQC_ECHANGED. */
int psource_check(const struct psource *s, struct err *e) MUST_CHECK;

#endif
