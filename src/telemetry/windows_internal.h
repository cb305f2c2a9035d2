/* What the windows are computed from, for those who render them. */
#ifndef PQC_TELEMETRY_WINDOWS_INTERNAL_H
#define PQC_TELEMETRY_WINDOWS_INTERNAL_H

#include "telemetry/windows.h"

struct window_counts {
	uint64_t v[METRIC_COUNT];
	uint64_t bucket[HISTO_COUNT][HISTO_BUCKETS];
};

/* What happened in a window. */
struct window {
	uint64_t elapsed_ms;
	struct window_counts d;
};

enum window_resource { RES_NONE, RES_NETWORK, RES_CRYPTO, RES_DISK, RES_CLIENT, RES_COUNT };
struct window_load {
	double busy[RES_COUNT];
	enum window_resource bottleneck;
};

/* False while the window is absent. */
bool windows_delta(const struct windows *w, const struct metrics *m, uint64_t now_ms,
		   uint64_t span_ms, struct window *out) MUST_CHECK;
double window_rate(const struct window *win, enum metric k);
bool window_quantile(const struct window *win, enum histo h, double q, double *out) MUST_CHECK;
void windows_load(const struct windows *w, const struct metrics *m, const struct window *win,
		  struct window_load *out);

#endif
