/*
 * The server's counters and gauges, in one list. Recording is one relaxed
 * atomic add: no lock, any thread. Rendered as Prometheus text (version 0.0.4).
 */
#ifndef PQC_TELEMETRY_METRICS_H
#define PQC_TELEMETRY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

/*        symbol               type       name                                help */
#define METRIC_LIST(X)                                                                            \
	X(M_KEY_EXCHANGES, "counter", "pqc_key_exchanges_total",                                  \
	  "Completed post-quantum key exchanges")                                                 \
	X(M_AUTH_FAILED, "counter", "failed_authentications_total",                               \
	  "Handshakes and requests refused for identity or permission")                           \
	X(M_KEY_ROTATIONS, "counter", "key_rotation_events_total", "Ephemeral KEM keys replaced") \
	X(M_ACTIVE, "gauge", "active_transfers", "Puts and gets in progress")                     \
	X(M_CONNECTIONS, "gauge", "pqc_open_connections", "Open connections")                     \
	X(M_ACCEPTED, "counter", "pqc_connections_total", "Connections accepted")                 \
	X(M_REJECTED, "counter", "pqc_connections_rejected_total",                                \
	  "Connections closed at accept because the limit was reached")                           \
	X(M_PROTO_ERRORS, "counter", "pqc_protocol_errors_total",                                 \
	  "Connections ended because the peer broke the protocol")                                \
	X(M_BYTES_IN, "counter", "pqc_received_part_bytes_total",                                 \
	  "Ciphertext bytes of parts received")                                                   \
	X(M_BYTES_OUT, "counter", "pqc_sent_part_bytes_total", "Ciphertext bytes of parts sent")  \
	X(M_PARTS_IN, "counter", "pqc_received_parts_total", "Parts received and verified")       \
	X(M_PARTS_KNOWN, "counter", "pqc_duplicate_parts_total",                                  \
	  "Parts received that were already held")                                                \
	X(M_PUTS, "counter", "pqc_puts_total", "Objects committed")                               \
	X(M_GETS, "counter", "pqc_gets_total", "Downloads begun")                                 \
	X(M_RESUMES, "counter", "pqc_resumes_total", "Uploads taken up again")                    \
	X(M_STORE_ERRORS, "counter", "pqc_store_errors_total", "Failures of the store")           \
	X(M_FREE, "gauge", "pqc_storage_free_bytes", "Bytes free on the store's file system")     \
	X(M_TOTAL, "gauge", "pqc_storage_total_bytes", "Size of the store's file system")         \
	X(M_START, "gauge", "process_start_time_seconds", "Start time, seconds since 1970")

enum metric {
#define X(sym, type, name, help) sym,
	METRIC_LIST(X)
#undef X
		METRIC_COUNT
};

struct metrics {
	_Atomic uint64_t v[METRIC_COUNT];
};

static inline void metric_add(struct metrics *m, enum metric k, uint64_t n)
{
	atomic_fetch_add_explicit(&m->v[k], n, memory_order_relaxed);
}
static inline void metric_sub(struct metrics *m, enum metric k, uint64_t n)
{
	atomic_fetch_sub_explicit(&m->v[k], n, memory_order_relaxed);
}
static inline void metric_set(struct metrics *m, enum metric k, uint64_t n)
{
	atomic_store_explicit(&m->v[k], n, memory_order_relaxed);
}
static inline uint64_t metric_get(struct metrics *m, enum metric k)
{
	return atomic_load_explicit(&m->v[k], memory_order_relaxed);
}

void metrics_render(struct metrics *m, struct buf *out);

#endif
