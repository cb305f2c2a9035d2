/* How the handshake makes a session; for src/protocol only. */
#ifndef PQC_PROTOCOL_SESSION_KEYS_H
#define PQC_PROTOCOL_SESSION_KEYS_H

#include <stdbool.h>

#include "protocol/session.h"

/* key[32] | iv[12], as Expand gives them. */
struct traffic_key {
	uint8_t key[KEY_LEN], iv[AEAD_IV];
};
struct session_keys {
	struct traffic_key c_ctl, s_ctl, c_frame;
};

/* Copies the keys; the caller wipes its own. Both directions begin at number 0. */
int session_new(struct session **out, const struct session_keys *k, bool server) MUST_CHECK;
/* session_seal and session_open for M4, whose aad is TH4. An M4 that does not open is PQC_EINTEGRITY. */
int session_seal_m4(struct session *s, const uint8_t th4[SHA512_LEN], const struct msg *m,
		    struct buf *out) MUST_CHECK;
int session_open_m4(struct session *s, const uint8_t th4[SHA512_LEN], uint8_t *wire, size_t n,
		    struct msg *m) MUST_CHECK;

#endif
