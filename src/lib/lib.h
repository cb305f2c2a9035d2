/*
 * The inside of libpqc: what the functions of pqc.h share. Each of them checks its arguments,
 * calls the module that does the work, and tells how it ended with lib_done.
 */
#ifndef PQC_LIB_LIB_H
#define PQC_LIB_LIB_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "crypto/identity.h"

struct pqc_identity {
	atomic_uint refs; /* the caller's, and one of each client made with it */
	struct identity *id;
};

struct pqc_public {
	struct public_identity is;
	char *line; /* without newline */
};

struct pqc_cancel {
	atomic_bool set;
};

/* ---- arguments and results (args.c) ---- */

/* Write code and message of how it ended to e, which may be NULL. Returns rc. */
int lib_done(int rc, const struct err *from, struct pqc_error *e);
/* PQC_EUSAGE that names what is NULL and must not be. */
int lib_need(const void *p, const char *what, struct err *e) MUST_CHECK;

/* The bytes of an options struct up to and including a member. */
#define LIB_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)NULL)->member))

/* How a caller's options struct is taken over. */
struct lib_options {
	const char *name; /* "struct pqc_seal_options" */
	size_t first;	  /* bytes of the first version of it */
	size_t now;	  /* bytes of today's */
};
/*
 * Copy a struct that begins with struct_size, of whatever version, to the zeroed out of o->now
 * bytes; given NULL leaves out at zero. PQC_EUSAGE for a size that no version has, and for a field
 * in use that this library does not know.
 */
int lib_take(const struct lib_options *o, const void *given, void *out, struct err *e) MUST_CHECK;

/* Hand b's bytes over, and empty b; a NUL that is not counted follows them. */
int lib_give(struct buf *b, struct pqc_buffer *out, struct err *e) MUST_CHECK;

/* The suite of this name, or NULL for NULL. PQC_EUSAGE. */
int lib_suite(const char *name, const struct suite **out, struct err *e) MUST_CHECK;

/* PQC_EUSAGE unless it is a power of two within the bounds. */
int lib_check_part_size(uint32_t size, struct err *e) MUST_CHECK;

/* ---- keys (keys.c, public.c) ---- */

struct pqc_identity *lib_identity_ref(const struct pqc_identity *id);
/* *out is the caller's, to be freed with pqc_public_free. */
int lib_public_of(const struct identity *id, const char *comment, struct pqc_public **out,
		  struct err *e) MUST_CHECK;

#endif
