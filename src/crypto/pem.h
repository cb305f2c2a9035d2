/* PEM (RFC 7468, its strict form), for key files. */
#ifndef PQC_CRYPTO_PEM_H
#define PQC_CRYPTO_PEM_H

#include "base/buf.h"

/* Append p[n] as one block. */
void pem_write(struct buf *b, const char *label, const void *p, size_t n);

/* What is left to read: borrowed text. */
struct pem {
	const char *p, *end;
};

/* Skips whitespace; does a block with this label follow? */
bool pem_peek(struct pem *in, const char *label);
/* Is nothing but whitespace left? */
bool pem_at_end(struct pem *in);
/* Append the content of the next block, which must have this label. PQC_EINTEGRITY. */
int pem_read(struct pem *in, const char *label, struct buf *out) MUST_CHECK;

#endif
