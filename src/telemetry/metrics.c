#include "telemetry/metrics.h"

#include <inttypes.h>

static const struct {
	const char *type, *name, *help;
} table[METRIC_COUNT] = {
#define X(sym, type, name, help) [sym] = {type, name, help},
	METRIC_LIST(X)
#undef X
};

void metrics_render(struct metrics *m, struct buf *out)
{
	for (size_t i = 0; i < METRIC_COUNT; i++)
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", table[i].name,
			   table[i].help, table[i].name, table[i].type, table[i].name,
			   metric_get(m, (enum metric)i));
}
