/*
 * What frames the body of a container that is one file (docs/container.md,
 * "Layout"): the head of 65536 bytes before it, the trailer behind it.
 */
#ifndef PQC_CONTAINER_OFFLINE_H
#define PQC_CONTAINER_OFFLINE_H

#include "container/keyblock.h"
#include "container/manifest.h"

/* The most that can stand behind the body: the largest manifest and the trailer. */
#define PQX_TAIL_MAX (PQX_MANIFEST_MAX + PQX_TRAILER_LEN)

/* Write header, key block (its generation grows by one) and padding to out. */
int pqx_head_encode(const struct pqx_header *h, const struct pqx_keys *k, struct keyblock *kb,
		    uint8_t out[PQX_BODY_OFFSET]) MUST_CHECK;
/* Decode the head and check all but what needs the key. *kb is the caller's to free. PQC_EINTEGRITY. */
int pqx_head_decode(const uint8_t head[PQX_BODY_OFFSET], struct pqx_header *h,
		    struct keyblock **kb) MUST_CHECK;

/* Append "u32 length of the manifest | PQXM". */
void pqx_trailer_put(size_t manifest_len, struct buf *out);
/*
 * p[n] is the end of a file: the length of its manifest, which stands before
 * the last PQX_TRAILER_LEN bytes of p. PQC_EINTEGRITY; n is enough when it is
 * PQX_TAIL_MAX or everything behind the head.
 */
int pqx_trailer_get(const uint8_t *p, size_t n, size_t *manifest_len) MUST_CHECK;

#endif
