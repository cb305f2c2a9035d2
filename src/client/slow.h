/*
 * Descriptors that let one wait: pipes, sockets, terminals. Reading and writing them blocks, but
 * only until somebody says that it is over. The descriptor's flags are left as they are: others
 * may share it.
 */
#ifndef PQC_CLIENT_SLOW_H
#define PQC_CLIENT_SLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Asked every SLOW_MS of a wait: shall it end? From any thread. */
struct slow_end {
	bool (*over)(const void *arg);
	const void *arg;
};
#define SLOW_MS 100

/* What ends the work of several threads: a flag of the caller's, or one of them. */
struct halt {
	const atomic_bool *cancel; /* NULL: none */
	atomic_bool set;
};
/* For slow_end.over; arg is a struct halt. */
bool halt_is_set(const void *arg);

/* As file_read and file_write; PQC_EINTERRUPTED when over says so. */
int slow_read(int fd, const struct slow_end *w, void *p, size_t n, size_t *got,
	      struct err *e) MUST_CHECK;
int slow_write(int fd, const struct slow_end *w, const void *p, size_t n, struct err *e) MUST_CHECK;

#endif
