/* When to try again, and how long to wait first. */
#ifndef PQC_CLIENT_RETRY_H
#define PQC_CLIENT_RETRY_H

#include "client/client.h"

struct retry {
	const struct client_opts *o;
	uint64_t last_progress; /* clock_ms */
	unsigned failures;	/* in a row, without progress */
};

void retry_init(struct retry *r, const struct client_opts *o);
/* Something moved: the next failure starts over. */
void retry_progress(struct retry *r);
/* ms milliseconds, which are over, do not count as time without progress. */
void retry_excuse(struct retry *r, uint64_t ms);
/* An attempt failed with rc: is another worth it? */
bool retry_worth(const struct retry *r, int rc);
/* Wait before it (full jitter, 0.25 s doubling up to 30 s): 0, or PQC_EINTERRUPTED. */
int retry_wait(struct retry *r, struct err *e) MUST_CHECK;

#endif
