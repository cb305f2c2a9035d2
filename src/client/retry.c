#include "client/retry.h"

#include <time.h>

#include "base/clock.h"
#include "crypto/secmem.h"

#define WAIT_MIN_MS 250
#define WAIT_MAX_MS 30000
#define SLICE_MS    100 /* how soon a cancellation is noticed */

void retry_init(struct retry *r, const struct client_opts *o)
{
	*r = (struct retry){.o = o, .last_progress = clock_ms()};
}

void retry_progress(struct retry *r)
{
	r->failures = 0;
	r->last_progress = clock_ms();
}

void retry_excuse(struct retry *r, uint64_t ms)
{
	r->last_progress += ms;
}

static bool is_temporary(int rc)
{
	return rc == PQC_ETEMP || rc == PQC_ECLOSED || rc == PQC_ETIMEOUT;
}

static uint64_t jitter(unsigned failures)
{
	uint64_t cap = failures < 7 ? (uint64_t)WAIT_MIN_MS << failures : WAIT_MAX_MS;
	uint32_t x = 0;

	/* Without randomness the wait is merely the longest one. */
	if (random_bytes(&x, sizeof(x)) != 0)
		return cap;
	return x % (cap + 1);
}

bool retry_worth(const struct retry *r, int rc)
{
	return is_temporary(rc) && clock_ms() - r->last_progress < r->o->retry_ms;
}

int retry_wait(struct retry *r, struct err *e)
{
	uint64_t now, until = clock_ms() + jitter(r->failures++);

	while ((now = clock_ms()) < until) {
		uint64_t ms = until - now < SLICE_MS ? until - now : SLICE_MS;
		struct timespec ts = {0, (long)ms * 1000000};

		if (r->o->cancel != NULL && atomic_load(r->o->cancel))
			return err_set(e, PQC_EINTERRUPTED, "interrupted");
		nanosleep(&ts, NULL);
	}
	return 0;
}
