/* M1 and M2, the two JSON messages of the handshake; for src/protocol only. */
#ifndef PQC_PROTOCOL_HS_JSON_H
#define PQC_PROTOCOL_HS_JSON_H

#include "base/buf.h"
#include "crypto/suite.h"

#define HS_NONCE_LEN  32
#define HS_NONCE_TEXT 44 /* in base64 */
#define HS_BUNDLE_MAX 4096

/* M1 of a client of suite s, with a fresh nonce. */
int hs_m1_encode(const struct suite *s, struct buf *out) MUST_CHECK;
/* PQC_EPROTO when it breaks the rules, PQC_EREFUSED when it does not offer suite s. */
int hs_m1_decode(const void *p, size_t n, const struct suite *s, struct err *e) MUST_CHECK;

/* What M2 carries, and what each part of it is. */
struct hs_m2 {
	struct buf bundle, sig, server_pk;
};
#define HS_M2_INIT                                                               \
	{                                                                        \
		BUF_INIT(HS_BUNDLE_MAX), BUF_INIT(SIG_MAX), BUF_INIT(SIG_PK_MAX) \
	}

void hs_m2_free(struct hs_m2 *m);
/* M2 is head | base64 of the nonce | HS_M2_TAIL; the head is the same for every client. */
#define HS_M2_TAIL "\"}"
void hs_m2_head(const struct hs_m2 *m, struct buf *out);
/* Into m, which is HS_M2_INIT. PQC_EPROTO, or the code of the error the server sent instead. */
int hs_m2_decode(const void *p, size_t n, struct hs_m2 *m, struct err *e) MUST_CHECK;

#endif
