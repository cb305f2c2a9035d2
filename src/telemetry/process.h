/* What the kernel knows about this process. */
#ifndef PQC_TELEMETRY_PROCESS_H
#define PQC_TELEMETRY_PROCESS_H

#include "telemetry/metrics.h"

/*
 * Set process_cpu_seconds_total, process_*_memory_bytes and process_*_fds, from
 * /proc/self: before rendering. What cannot be read stays as it was. M_START is
 * the caller's to set.
 */
void process_metrics_update(struct metrics *m);

#endif
