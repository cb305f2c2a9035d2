/*
 * What a put reads: a regular file or memory, part by part in any order, or a
 * stream, whose parts are kept until they are released, so that all of them can be
 * read again when a connection broke.
 */
#ifndef PQC_CLIENT_SOURCE_H
#define PQC_CLIENT_SOURCE_H

#include "client/call.h"

#define SOURCE_KEEP 16 /* parts of a stream that are kept at most */

struct psource;

/*
 * part: plaintext bytes of a part. A wait for a stream ends when the call is called off.
 * PQC_ENOTFOUND, PQC_EUSAGE (a directory).
 */
int psource_open(struct psource **out, const struct put_opts *o, size_t part,
		 const struct call *call, struct err *e) MUST_CHECK;
void psource_free(struct psource *s);
/* For messages: the path, or what stands for it. */
const char *psource_name(const struct psource *s);
/* Read in order, and not twice from the beginning? */
bool psource_is_stream(const struct psource *s);
/* PQX_SIZE_UNKNOWN for a stream, unless it was declared. */
uint64_t psource_size(const struct psource *s);
/* May a later call go on with what this one has sent? */
bool psource_is_lasting(const struct psource *s);
/*
 * What its bytes are told from others by: equal only where the bytes are, as long as the source is
 * a lasting one. Of a file dev, inode, size, mtime, ctime, hashed; of memory its bytes; else random.
 */
const uint8_t *psource_fingerprint(const struct psource *s);
/*
 * Part i's plaintext: *p of *n bytes, *final in the last part. It is in room, which holds a part,
 * or where the source has it. A stream is read in order and only up to SOURCE_KEEP parts
 * past the last released one; it may block. PQC_ENOTFOUND: past the end. PQC_ECHANGED: not
 * the bytes that were announced. Else a failure of the source's own, which trying again does not mend.
 * All but a stream may be read from several threads; a stream by one at a time.
 */
int psource_read(struct psource *s, uint64_t i, uint8_t *room, const uint8_t **p, size_t *n,
		 bool *final, struct err *e) MUST_CHECK;
/* Parts below i are not needed any more. */
void psource_release(struct psource *s, uint64_t i);
/* Is the file still the one that was opened, unchanged? All else always is. PQC_ECHANGED. */
int psource_check(const struct psource *s, struct err *e) MUST_CHECK;

#endif
