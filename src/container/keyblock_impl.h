/* The inside of a key block, shared by keyblock.c and stanza.c. */
#ifndef PQC_CONTAINER_KEYBLOCK_IMPL_H
#define PQC_CONTAINER_KEYBLOCK_IMPL_H

#include "container/keyblock.h"
#include "container/wrap.h"

struct keyblock {
	uint32_t generation;
	size_t count;
	struct stanza stanza[STANZA_COUNT_MAX]; /* bodies owned */
	struct buf raw;				/* as last decoded or encoded, mac included */
};

/* Length of the body of a stanza type; 0 for an unknown type. */
size_t stanza_body_len(unsigned type);

/*
 * Append a stanza with a copy of body, which has stanza_body_len(type) bytes.
 * PQC_EUSAGE when it may not stand beside what is there, PQC_ETOOBIG past 32.
 */
int keyblock_append(struct keyblock *kb, const struct pqx_header *h, uint16_t type,
		    const uint8_t *body) MUST_CHECK;
void keyblock_remove_at(struct keyblock *kb, size_t i);

#endif
