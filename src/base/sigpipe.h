/*
 * Writing without SIGPIPE, for a library: the programs that use it need not ignore the signal, and
 * what they do with it stays theirs. Writing where nobody reads then fails with EPIPE, and nothing else.
 */
#ifndef PQC_BASE_SIGPIPE_H
#define PQC_BASE_SIGPIPE_H

#include <stdbool.h>

struct sigpipe {
	bool blocked; /* it was before */
	bool pending; /* it was before: none of it is ours */
};

/*
 * From here to sigpipe_release a write of this thread raises no SIGPIPE that anybody sees, nor does one of
 * the threads that it starts meanwhile. Both in the same thread; pairs may be nested.
 */
void sigpipe_hold(struct sigpipe *s);
void sigpipe_release(const struct sigpipe *s);

#endif
