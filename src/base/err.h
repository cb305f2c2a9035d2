/*
 * Errors: one list of codes, the name each has in JSON and logs, and the exit
 * code it gives a script. A function that can fail returns 0 or a negative
 * PQC_E*; where a person will read the reason it also takes a struct err and
 * fills it with what was expected, what was found and what to do.
 */
#ifndef PQC_BASE_ERR_H
#define PQC_BASE_ERR_H

#include "pqc.h" /* enum pqc_code */

/*        code    name    exit    meaning */
#define PQC_ERROR_LIST(X)                                                                     \
	X(PQC_EFAIL, "failed", 1, "failed for a reason of its own; see the message")          \
	X(PQC_EUSAGE, "usage", 2, "the command line, or an argument, is not understood")      \
	X(PQC_ENOTFOUND, "not-found", 3, "no such object, file or key")                       \
	X(PQC_EREFUSED, "refused", 4, "identity or permission refused")                       \
	X(PQC_ETEMP, "temporary", 5, "temporary failure; trying again may help")              \
	X(PQC_EINTEGRITY, "integrity", 6, "damaged, edited, truncated or wrongly keyed data") \
	X(PQC_EQUOTA, "quota", 7, "out of space, quota or size limit")                        \
	X(PQC_ECONFIG, "configuration", 8, "a configuration value or file is wrong")          \
	X(PQC_ENOMEM, "no-memory", 1, "memory allocation failed")                             \
	X(PQC_EIO, "io", 1, "a read or write of a file failed")                               \
	X(PQC_ECRYPTO, "crypto-internal", 1, "the cryptographic library failed")              \
	X(PQC_EPROTO, "protocol", 6, "the peer broke the protocol")                           \
	X(PQC_ENOKEY, "no-key", 4, "no key at hand opens this")                               \
	X(PQC_EPASSPHRASE, "passphrase", 4, "wrong or missing passphrase")                    \
	X(PQC_ECHANGED, "source-changed", 6, "the source file changed while it was read")     \
	X(PQC_EEXIST, "exists", 4, "the target is there already")                             \
	X(PQC_EUNKNOWN_SERVER, "unknown-server", 4, "the server's identity is not pinned")    \
	X(PQC_EIDENTITY_CHANGED, "identity-changed", 4, "the server's identity is another")   \
	X(PQC_ENAME, "bad-name", 2, "a name that is not allowed")                             \
	X(PQC_ETOOBIG, "too-big", 7, "larger than the limit")                                 \
	X(PQC_EAGAIN, "again", 5, "not ready yet")                                            \
	X(PQC_ECLOSED, "closed", 5, "the connection ended")                                   \
	X(PQC_ETIMEOUT, "timeout", 5, "no progress for too long")                             \
	X(PQC_EINTERRUPTED, "interrupted", 130, "interrupted")

#define ERR_MSG_MAX 512

/* Filled by the function that fails; owned by the caller. Never holds a secret. */
struct err {
	int code;
	char msg[ERR_MSG_MAX];
};

#define MUST_CHECK __attribute__((warn_unused_result))

/*
 * Write code and message into e (e may be NULL) and return code. A message
 * longer than ERR_MSG_MAX is cut. Control characters, characters that deceive
 * the eye (utf8_deceives) and bytes that are not UTF-8 are replaced by '?'. The
 * arguments may point into e->msg.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Like err_set, with ": strerror(errnum)" appended and the code from errnum:
 * ENOSPC, EDQUOT and EFBIG give PQC_EQUOTA, ENOENT PQC_ENOTFOUND, EEXIST
 * PQC_EEXIST, EACCES, EPERM, EROFS and ELOOP PQC_EREFUSED, ENOMEM PQC_ENOMEM,
 * EAGAIN PQC_EAGAIN, lacking descriptors or an unreachable peer PQC_ETEMP, a
 * broken connection PQC_ECLOSED, ETIMEDOUT PQC_ETIMEOUT, all else PQC_EIO.
 */
int err_sys(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the message e already has. Returns e->code, PQC_EFAIL when e is NULL. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stable name ("integrity"), exit code, meaning; unknown codes answer as PQC_EFAIL. */
const char *err_name(int code);
int err_exit_code(int code);
const char *err_meaning(int code);

#endif
