/* The server's bundle (docs/protocol.md, "Bundle"), inside and out; for src/protocol only. */
#ifndef PQC_PROTOCOL_HS_BUNDLE_H
#define PQC_PROTOCOL_HS_BUNDLE_H

#include "crypto/kem.h"
#include "protocol/handshake.h"

#define HS_BUNDLE_CONTEXT "pqx1 bundle"
#define HS_VERSION	  1

struct hs_bundle {
	unsigned refs;
	const struct suite *suite;
	uint8_t server_id[ID_LEN];
	uint64_t not_after;
	struct kem_key *kem;
	struct buf m2_head; /* see hs_json.h */
};

/* What a bundle says. Pointers go into the bytes it was decoded from. */
struct bundle_view {
	uint16_t version, minimum;
	const uint8_t *server_id;
	uint64_t not_before, not_after;
	const uint8_t *kem_pk; /* of the wanted suite; NULL: it is not offered */
};
/* PQC_EPROTO when it is not well-formed. Nothing is believed yet. */
int bundle_decode(const uint8_t *p, size_t n, const struct suite *want,
		  struct bundle_view *v) MUST_CHECK;

#endif
