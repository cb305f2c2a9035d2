/* The key schedule of the handshake (docs/protocol.md, "Keys"), the same on both sides; for src/protocol only. */
#ifndef PQC_PROTOCOL_HS_KEYS_H
#define PQC_PROTOCOL_HS_KEYS_H

#include "protocol/session_keys.h"

#define HS_M2_PIECES 3

/* TH3. M2 may come in pieces, so that a server need not keep a copy for each connection. */
int hs_th3(const struct suite *s, const struct span *m1, const struct span m2[HS_M2_PIECES],
	   const uint8_t *ct, uint8_t th3[SHA512_LEN]) MUST_CHECK;

/* Secret: wiped by its owner. */
struct hs_keys {
	uint8_t prk_h[PRK_LEN];
	struct traffic_key c_hs;
};
int hs_keys_derive(const struct suite *s, const uint8_t *ss, const uint8_t th3[SHA512_LEN],
		   struct hs_keys *k) MUST_CHECK;

/* What sigC signs. */
#define HS_AUTH_CONTEXT "pqx1 client auth"
#define HS_AUTH_LEN	(SHA512_LEN + 2 * ID_LEN + SHA512_LEN)
int hs_auth(const uint8_t th3[SHA512_LEN], const uint8_t server_id[ID_LEN],
	    const uint8_t client_id[ID_LEN], const struct span *request,
	    uint8_t out[HS_AUTH_LEN]) MUST_CHECK;

struct hs_session_in {
	const struct hs_keys *keys;
	const uint8_t *th3;
	struct span m3;
	bool server;
};
/* TH4 and the session of one side. */
int hs_session(const struct hs_session_in *in, uint8_t th4[SHA512_LEN],
	       struct session **out) MUST_CHECK;

#endif
