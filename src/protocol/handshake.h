/*
 * The handshake (docs/protocol.md, "Handshake") as two sans-I/O state
 * machines: messages in, messages and keys out. Time and policy are arguments.
 */
#ifndef PQC_PROTOCOL_HANDSHAKE_H
#define PQC_PROTOCOL_HANDSHAKE_H

#include "crypto/identity.h"
#include "protocol/session.h"

#define HS_JSON_MAX	  16384
#define HS_M3_MAX	  81920
#define HS_BUNDLE_SECONDS 60
#define HS_BUNDLE_GRACE	  10
#define HS_CLOCK_SKEW	  600

/* ---- server: the bundle of the minute, shared by all connections ---- */

struct hs_bundle; /* reference counted; thread-compatible (one loop) */

/* Fresh KEM key, signed. now: unix seconds. */
int hs_bundle_new(const struct identity *server, uint64_t now, struct hs_bundle **out) MUST_CHECK;
struct hs_bundle *hs_bundle_ref(struct hs_bundle *b);
/* The private KEM key is erased with the last reference. NULL is fine. */
void hs_bundle_unref(struct hs_bundle *b);
uint64_t hs_bundle_not_after(const struct hs_bundle *b);

struct hs_server;
int hs_server_new(struct hs_server **out, const struct identity *server,
		  struct hs_bundle *b) MUST_CHECK;
void hs_server_free(struct hs_server *h);
/*
 * M1 in, M2 out (appended). PQC_EPROTO for a malformed M1, PQC_EREFUSED for one
 * that does not offer the server's suite: the reason is in e and, in out, the
 * JSON error to send before closing.
 */
int hs_server_hello(struct hs_server *h, const void *m1, size_t n, struct buf *out,
		    struct err *e) MUST_CHECK;
/*
 * M3 in. On success client_id, client_pk (sig_pk_len) and the decoded request
 * (spans live as long as h) are out; the request's name is not checked yet.
 * Every fault of the peer is PQC_EREFUSED, said in one way; PQC_ENOMEM and
 * PQC_ECRYPTO are our own. There is no second try, and the bundle is let go. now: the bundle must not be
 * older than its grace.
 */
int hs_server_request(struct hs_server *h, const uint8_t *m3, size_t n, uint64_t now,
		      uint8_t client_id[ID_LEN], struct msg *request) MUST_CHECK;
/* Encode M4 around reply and make the session. Once, after hs_server_request. */
int hs_server_reply(struct hs_server *h, const struct msg *reply, struct buf *out,
		    struct session **session) MUST_CHECK;
/* After hs_server_request. */
const uint8_t *hs_server_client_pk(const struct hs_server *h);
/* The JSON error of a server that cannot go on, appended: code is a CODE_*. */
void hs_error_json(unsigned code, const char *text, struct buf *out);

/* ---- client ---- */

struct hs_client;
int hs_client_new(struct hs_client **out, const struct identity *client) MUST_CHECK;
void hs_client_free(struct hs_client *h);
/* M1, text. */
int hs_client_hello(struct hs_client *h, struct buf *out) MUST_CHECK;
/*
 * M2 in: decode it and check that server_pk has the id it claims. The id is
 * out so that the caller applies its pinning policy before it goes on.
 * PQC_EPROTO, or what a JSON error from the server says (PQC_ETEMP ...), in e.
 */
int hs_client_ready(struct hs_client *h, const void *m2, size_t n, uint8_t server_id[ID_LEN],
		    struct err *e) MUST_CHECK;
/*
 * The caller accepted server_id: check signature, dates, versions and suite
 * (PQC_EREFUSED, reason in e), encapsulate, and append M3 around request.
 */
int hs_client_request(struct hs_client *h, const struct msg *request, uint64_t now, struct buf *out,
		      struct err *e) MUST_CHECK;
/*
 * M4 in. reply's spans point into memory that lives as long as h.
 * PQC_EREFUSED when it does not open: the peer is not the server. A server that
 * refuses says so in the reply's status.
 */
int hs_client_reply(struct hs_client *h, const uint8_t *m4, size_t n, struct msg *reply,
		    struct session **session, struct err *e) MUST_CHECK;
/* After hs_client_ready: the server's suite and public key (sig_pk_len bytes). */
const struct suite *hs_client_server_suite(const struct hs_client *h);
const uint8_t *hs_client_server_pk(const struct hs_client *h);

#endif
