/*
 * Rates, quantiles and loads of the last 1, 5 and 15 minutes, from snapshots of
 * the counters taken every 5 seconds. One thread.
 *
 * A window begins with its oldest snapshot that is not older than the window
 * is long, and ends now: at the start, and after a gap without snapshots, it is
 * shorter than its name says, and every rate is by the time it really covers.
 * A window of less than a second is absent. A counter that went back counts
 * from zero, and when the clock does all snapshots are forgotten.
 *
 * Quantiles are interpolated within the bucket as Prometheus' histogram_quantile
 * does; one of a histogram that saw nothing in the window is absent.
 *
 * Busy ratios, each 0 to 1:
 *   crypto   time of verify / (elapsed * cpu workers)
 *   disk     time of write and fsync / (elapsed * disk workers)
 *   network  share of wait_peer in the time of all activities, as far as
 *            M_PEER_NETWORK_PERMILLE says that the network is what it waits for
 *   client   the rest of that share
 * The bottleneck is one of them:
 *   none     when no activity took any time;
 *   network  when wait_peer is more than half of the time of all activities
 *            and M_PEER_NETWORK_PERMILLE is 500 or more;
 *   client   when it is more than half and the permille are less;
 *   crypto   else, when crypto is busier than disk;
 *   disk     else.
 */
#ifndef PQC_TELEMETRY_WINDOWS_H
#define PQC_TELEMETRY_WINDOWS_H

#include "telemetry/metrics.h"

#define WINDOWS_SAMPLE_MS 5000

/*
 * X(symbol, type, name, unit, labels, help); the labels are for the reference.
 * The quantiles are a summary's because only there that label is proper.
 */
#define WINDOW_LABEL "window (1m, 5m, 15m)"
#define WINDOW_LIST(X)                                                                             \
	X(W_BYTES, "gauge", "pqc_window_bytes_per_second", "bytes_per_second",                     \
	  "direction (received, sent); " WINDOW_LABEL, "Ciphertext bytes of parts per second")     \
	X(W_TRANSFERS, "gauge", "pqc_window_transfers_per_second", "transfers_per_second",         \
	  "result (done, failed, interrupted, refused); " WINDOW_LABEL,                            \
	  "Transfers ended per second")                                                            \
	X(W_HANDSHAKES, "gauge", "pqc_window_handshakes_per_second", "handshakes_per_second",      \
	  WINDOW_LABEL, "Completed key exchanges per second")                                      \
	X(W_QUANTILE, "summary", "pqc_window_quantile_seconds", "seconds",                         \
	  "metric (key_exchange, handshake, queue_wait, transfer_start, part_verify, part_write, " \
	  "fsync, commit, transfer); quantile (0.5, 0.95, 0.99); " WINDOW_LABEL,                   \
	  "The duration that this share (quantile) of what happened (metric) did not pass")        \
	X(W_BUSY, "gauge", "pqc_busy_ratio", "ratio",                                              \
	  "resource (network, crypto, disk, client); " WINDOW_LABEL,                               \
	  "How busy each resource was, 0 to 1")                                                    \
	X(W_BOTTLENECK, "gauge", "pqc_bottleneck", "",                                             \
	  "resource (none, network, crypto, disk, client); " WINDOW_LABEL,                         \
	  "1 for the resource that held the transfers up most")

struct windows;

struct windows_opts {
	unsigned cpu_workers, disk_workers; /* 0 counts as 1 */
};

int windows_new(struct windows **out, const struct windows_opts *o) MUST_CHECK;
void windows_free(struct windows *w);

/*
 * Take a snapshot, and set M_THROUGHPUT by the last minute. Call it at the start
 * and then every WINDOWS_SAMPLE_MS; one that comes early is passed over. now_ms:
 * clock_ms().
 */
void windows_sample(struct windows *w, struct metrics *m, uint64_t now_ms);

/* What a counter grew by per second in the last span_ms; false when not known yet. */
bool windows_rate(const struct windows *w, const struct metrics *m, uint64_t now_ms,
		  uint64_t span_ms, enum metric k, double *per_second) MUST_CHECK;

/* As metrics_negotiate, with JSON too. */
enum metrics_format windows_negotiate(const char *accept, const char **content_type);

/*
 * Append all windows. METRICS_JSON: an array of {"name","value","timestamp",
 * "labels","unit"}. Nothing but the format's frame when m->off.
 */
int windows_render(const struct windows *w, const struct metrics *m, uint64_t now_ms,
		   enum metrics_format f, struct buf *out) MUST_CHECK;

#endif
