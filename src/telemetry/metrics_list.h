/*
 * Every family and series the server has, once: symbols, types, help, units and
 * labels all come from here, and so does the reference (pqc help --observability).
 *
 * ONE(symbol, type, value, name, unit, help)   a family of one series without labels
 * FAM(family, type, value, name, unit, help)   a family; its series follow at once
 * SER(symbol, family, labels)                  a series
 *
 * Type: T_COUNTER, T_GAUGE, T_OPTIONAL (a gauge that is absent while it is 0),
 * T_INTERNAL (kept, never shown). Value: V_U64, V_NS (nanoseconds, shown as
 * seconds), V_F64 (a double). The unit is the end of the name, without "_total"
 * where the type is a counter; "" for none. A series of a set is found by
 * adding to the first: the order of the labels is part of the contract.
 */
#ifndef PQC_TELEMETRY_METRICS_LIST_H
#define PQC_TELEMETRY_METRICS_LIST_H

#define METRIC_COUNTERS(ONE, FAM, SER)                                                         \
	ONE(M_KEY_EXCHANGES, T_COUNTER, V_U64, "pqc_key_exchanges_total", "",                  \
	    "Completed post-quantum key exchanges")                                            \
	ONE(M_AUTH_FAILED, T_COUNTER, V_U64, "failed_authentications_total", "",               \
	    "Handshakes and requests refused for identity or permission")                      \
	ONE(M_KEY_ROTATIONS, T_COUNTER, V_U64, "key_rotation_events_total", "",                \
	    "Ephemeral KEM keys replaced")                                                     \
	ONE(M_ACCEPTED, T_COUNTER, V_U64, "pqc_connections_total", "", "Connections accepted") \
	ONE(M_REJECTED, T_COUNTER, V_U64, "pqc_connections_rejected_total", "",                \
	    "Connections closed at accept because the limit was reached")                      \
	ONE(M_PROTO_ERRORS, T_COUNTER, V_U64, "pqc_protocol_errors_total", "",                 \
	    "Connections ended because the peer broke the protocol")                           \
	ONE(M_STORE_ERRORS, T_COUNTER, V_U64, "pqc_store_errors_total", "",                    \
	    "Failures of the store")                                                           \
	FAM(F_HANDSHAKE_FAILED, T_COUNTER, V_U64, "pqc_handshake_failures_total", "",          \
	    "Handshakes that did not end in a verified request")                               \
	SER(M_HS_MALFORMED, F_HANDSHAKE_FAILED, "reason=\"malformed\"")                        \
	SER(M_HS_SUITE, F_HANDSHAKE_FAILED, "reason=\"suite\"")                                \
	SER(M_HS_AUTHENTICATION, F_HANDSHAKE_FAILED, "reason=\"authentication\"")              \
	SER(M_HS_TIMEOUT, F_HANDSHAKE_FAILED, "reason=\"timeout\"")                            \
	SER(M_HS_ORIGIN, F_HANDSHAKE_FAILED, "reason=\"origin\"")                              \
	SER(M_HS_INTERNAL, F_HANDSHAKE_FAILED, "reason=\"internal\"")                          \
	FAM(F_PART_BYTES, T_COUNTER, V_U64, "pqc_part_bytes_total", "bytes",                   \
	    "Ciphertext bytes of parts, received and verified or sent")                        \
	SER(M_BYTES_IN, F_PART_BYTES, "direction=\"received\"")                                \
	SER(M_BYTES_OUT, F_PART_BYTES, "direction=\"sent\"")                                   \
	FAM(F_PARTS, T_COUNTER, V_U64, "pqc_parts_total", "",                                  \
	    "Parts, received and verified or sent")                                            \
	SER(M_PARTS_IN, F_PARTS, "direction=\"received\"")                                     \
	SER(M_PARTS_OUT, F_PARTS, "direction=\"sent\"")                                        \
	ONE(M_PARTS_KNOWN, T_COUNTER, V_U64, "pqc_duplicate_parts_total", "",                  \
	    "Parts received that were already held")                                           \
	FAM(F_PARTS_REFUSED, T_COUNTER, V_U64, "pqc_parts_refused_total", "",                  \
	    "Parts received that were not taken")                                              \
	SER(M_PART_MALFORMED, F_PARTS_REFUSED, "reason=\"malformed\"")                         \
	SER(M_PART_TAG, F_PARTS_REFUSED, "reason=\"tag\"")                                     \
	SER(M_PART_MISMATCH, F_PARTS_REFUSED, "reason=\"mismatch\"")                           \
	SER(M_PART_TOO_LARGE, F_PARTS_REFUSED, "reason=\"too_large\"")                         \
	SER(M_PART_NO_SPACE, F_PARTS_REFUSED, "reason=\"no_space\"")                           \
	SER(M_PART_STORE, F_PARTS_REFUSED, "reason=\"store\"")                                 \
	FAM(F_TRANSFERS, T_COUNTER, V_U64, "pqc_transfers_total", "",                          \
	    "Transfers that ended; interrupted: may be taken up again; refused: the client's " \
	    "fault")                                                                           \
	SER(M_PUT_DONE, F_TRANSFERS, "direction=\"put\",result=\"done\"")                      \
	SER(M_PUT_FAILED, F_TRANSFERS, "direction=\"put\",result=\"failed\"")                  \
	SER(M_PUT_INTERRUPTED, F_TRANSFERS, "direction=\"put\",result=\"interrupted\"")        \
	SER(M_PUT_REFUSED, F_TRANSFERS, "direction=\"put\",result=\"refused\"")                \
	SER(M_GET_DONE, F_TRANSFERS, "direction=\"get\",result=\"done\"")                      \
	SER(M_GET_FAILED, F_TRANSFERS, "direction=\"get\",result=\"failed\"")                  \
	SER(M_GET_INTERRUPTED, F_TRANSFERS, "direction=\"get\",result=\"interrupted\"")        \
	SER(M_GET_REFUSED, F_TRANSFERS, "direction=\"get\",result=\"refused\"")                \
	ONE(M_RESUMES, T_COUNTER, V_U64, "pqc_resumes_total", "", "Uploads taken up again")    \
	ONE(M_SUPERSEDED, T_COUNTER, V_U64, "pqc_superseded_total", "",                        \
	    "Connections of an upload that a newer connection replaced")                       \
	ONE(M_QUEUE_ADMITTED, T_COUNTER, V_U64, "pqc_queue_admitted_total", "",                \
	    "Requests that waited in the queue and were admitted")                             \
	FAM(F_QUEUE_LEFT, T_COUNTER, V_U64, "pqc_queue_left_total", "",                        \
	    "Requests that left the queue or did not get into it; refused: it was full")       \
	SER(M_QUEUE_VANISHED, F_QUEUE_LEFT, "reason=\"vanished\"")                             \
	SER(M_QUEUE_REFUSED, F_QUEUE_LEFT, "reason=\"refused\"")                               \
	SER(M_QUEUE_DRAINED, F_QUEUE_LEFT, "reason=\"drained\"")                               \
	FAM(F_QUOTA_REFUSALS, T_COUNTER, V_U64, "pqc_quota_refusals_total", "",                \
	    "Uploads refused for the client's quota, the disk's space or their size")          \
	SER(M_QUOTA_CLIENT, F_QUOTA_REFUSALS, "scope=\"client\"")                              \
	SER(M_QUOTA_DISK, F_QUOTA_REFUSALS, "scope=\"disk\"")                                  \
	SER(M_QUOTA_SIZE, F_QUOTA_REFUSALS, "scope=\"size\"")                                  \
	FAM(F_REQUESTS_REFUSED, T_COUNTER, V_U64, "pqc_requests_refused_total", "",            \
	    "Requests refused for who asked")                                                  \
	SER(M_REFUSED_IDENTITY, F_REQUESTS_REFUSED, "reason=\"unknown_identity\"")             \
	SER(M_REFUSED_RIGHT, F_REQUESTS_REFUSED, "reason=\"no_right\"")                        \
	FAM(F_ACTIVITY, T_COUNTER, V_NS, "pqc_activity_seconds_total", "seconds",              \
	    "What the transfers under way spent their time on")                                \
	SER(M_ACT_VERIFY, F_ACTIVITY, "activity=\"verify\"")                                   \
	SER(M_ACT_WRITE, F_ACTIVITY, "activity=\"write\"")                                     \
	SER(M_ACT_FSYNC, F_ACTIVITY, "activity=\"fsync\"")                                     \
	SER(M_ACT_SEND, F_ACTIVITY, "activity=\"send\"")                                       \
	SER(M_ACT_WAIT_PEER, F_ACTIVITY, "activity=\"wait_peer\"")                             \
	SER(M_ACT_WAIT_SERVER, F_ACTIVITY, "activity=\"wait_server\"")                         \
	FAM(F_EVENTS, T_COUNTER, V_U64, "pqc_events_delivered_total", "",                      \
	    "Attempts to hand an event to the webhook or the command")                         \
	SER(M_EVENTS_DELIVERED, F_EVENTS, "result=\"delivered\"")                              \
	SER(M_EVENTS_RETRIED, F_EVENTS, "result=\"retried\"")                                  \
	SER(M_EVENTS_GIVEN_UP, F_EVENTS, "result=\"given_up\"")                                \
	FAM(F_SPANS, T_COUNTER, V_U64, "pqc_trace_spans_total", "",                            \
	    "Spans handed to the trace collector, or dropped")                                 \
	SER(M_SPANS_EXPORTED, F_SPANS, "result=\"exported\"")                                  \
	SER(M_SPANS_DROPPED, F_SPANS, "result=\"dropped\"")                                    \
	ONE(M_CPU, T_COUNTER, V_NS, "process_cpu_seconds_total", "seconds",                    \
	    "User and system CPU time spent")

#define METRIC_GAUGES(ONE, FAM, SER)                                                              \
	ONE(M_ACTIVE, T_GAUGE, V_U64, "active_transfers", "", "Puts and gets in progress")        \
	ONE(M_SLOTS, T_GAUGE, V_U64, "pqc_transfer_slots", "",                                    \
	    "Puts and gets that may be in progress at once")                                      \
	ONE(M_QUEUE_LENGTH, T_GAUGE, V_U64, "pqc_queue_length", "",                               \
	    "Requests that wait for a slot")                                                      \
	ONE(M_QUEUE_OLDEST, T_GAUGE, V_F64, "pqc_queue_oldest_wait_seconds", "seconds",           \
	    "How long the longest-waiting request has waited")                                    \
	ONE(M_CONNECTIONS, T_GAUGE, V_U64, "pqc_open_connections", "", "Open connections")        \
	ONE(M_THROUGHPUT, T_GAUGE, V_F64, "pqc_encryption_throughput_mbps", "mbps",               \
	    "Megabytes of parts verified or sealed per second of a worker's time, last minute")   \
	ONE(M_LAG_BYTES, T_GAUGE, V_U64, "pqc_durable_lag_bytes", "bytes",                        \
	    "Bytes received that are not yet durable")                                            \
	ONE(M_LAG_SECONDS, T_GAUGE, V_F64, "pqc_durable_lag_seconds", "seconds",                  \
	    "Age of the oldest bytes received that are not yet durable")                          \
	ONE(M_SPACE_USED, T_GAUGE, V_U64, "pqc_storage_used_bytes", "bytes",                      \
	    "Bytes reserved by objects and uploads")                                              \
	ONE(M_SPACE_FREE, T_GAUGE, V_U64, "pqc_storage_free_bytes", "bytes",                      \
	    "Bytes free on the store's file system")                                              \
	ONE(M_SPACE_TOTAL, T_GAUGE, V_U64, "pqc_storage_total_bytes", "bytes",                    \
	    "Size of the store's file system")                                                    \
	ONE(M_SPACE_MIN_FREE, T_GAUGE, V_U64, "pqc_storage_min_free_bytes", "bytes",              \
	    "Free bytes under which no upload is begun")                                          \
	ONE(M_OBJECTS, T_GAUGE, V_U64, "pqc_stored_objects", "", "Objects in the store")          \
	FAM(F_HEALTH, T_GAUGE, V_U64, "pqc_health_status", "",                                    \
	    "Health by check: 0 healthy, 1 degraded, 2 unhealthy")                                \
	SER(M_HEALTH_STORAGE, F_HEALTH, "check=\"storage\"")                                      \
	SER(M_HEALTH_SPACE, F_HEALTH, "check=\"space\"")                                          \
	SER(M_HEALTH_KEY, F_HEALTH, "check=\"key\"")                                              \
	SER(M_HEALTH_BUNDLE, F_HEALTH, "check=\"bundle\"")                                        \
	SER(M_HEALTH_CLOCK, F_HEALTH, "check=\"clock\"")                                          \
	SER(M_HEALTH_QUEUE, F_HEALTH, "check=\"queue\"")                                          \
	ONE(M_DRAINING, T_GAUGE, V_U64, "pqc_draining", "", "1 while the server lets no one in")  \
	ONE(M_BUILD_INFO, T_OPTIONAL, V_U64, "pqc_build_info", "",                                \
	    "1, with the version, the suite and the OpenSSL version as labels")                   \
	ONE(M_EVENTS_PENDING, T_GAUGE, V_U64, "pqc_events_pending", "",                           \
	    "Events in the spool that are not yet delivered")                                     \
	ONE(M_LOOP_LAG, T_GAUGE, V_F64, "pqc_loop_lag_seconds", "seconds",                        \
	    "Worst delay of the event loop in the last 15 seconds")                               \
	ONE(M_IDENTITY_CREATED, T_OPTIONAL, V_U64, "pqc_identity_created_timestamp_seconds",      \
	    "seconds", "When the server's identity was made, seconds since 1970")                 \
	ONE(M_KEK_CREATED, T_OPTIONAL, V_U64, "pqc_kek_created_timestamp_seconds", "seconds",     \
	    "When the key encryption key was made, seconds since 1970")                           \
	ONE(M_BUNDLE_EXPIRY, T_OPTIONAL, V_U64, "pqc_bundle_expiry_timestamp_seconds", "seconds", \
	    "When the bundle of ephemeral KEM keys ends, seconds since 1970")                     \
	ONE(M_TLS_EXPIRY, T_OPTIONAL, V_U64, "pqc_tls_certificate_expiry_timestamp_seconds",      \
	    "seconds", "When the TLS certificate ends, seconds since 1970; absent without TLS")   \
	ONE(M_START, T_OPTIONAL, V_U64, "process_start_time_seconds", "seconds",                  \
	    "Start time, seconds since 1970")                                                     \
	ONE(M_RESIDENT, T_OPTIONAL, V_U64, "process_resident_memory_bytes", "bytes",              \
	    "Resident memory")                                                                    \
	ONE(M_VIRTUAL, T_OPTIONAL, V_U64, "process_virtual_memory_bytes", "bytes",                \
	    "Virtual memory")                                                                     \
	ONE(M_OPEN_FDS, T_OPTIONAL, V_U64, "process_open_fds", "", "Open file descriptors")       \
	ONE(M_MAX_FDS, T_OPTIONAL, V_U64, "process_max_fds", "",                                  \
	    "File descriptors the process may have open")                                         \
	ONE(M_PEER_NETWORK_PERMILLE, T_INTERNAL, V_U64, "peer_network_permille", "",              \
	    "How much of the wait for peers is the network's, in thousandths")

#define METRIC_LIST(ONE, FAM, SER)     \
	METRIC_COUNTERS(ONE, FAM, SER) \
	METRIC_GAUGES(ONE, FAM, SER)

/* X(symbol, bounds, name, unit, help): a histogram of seconds or bytes without labels. */
#define HISTO_LIST(X)                                                                        \
	X(H_KEY_EXCHANGE, B_CRYPTO, "pqc_key_exchange_duration_seconds", "seconds",          \
	  "The server's work for one handshake")                                             \
	X(H_HANDSHAKE, B_ANSWER, "pqc_handshake_duration_seconds", "seconds",                \
	  "From accept to the verified request")                                             \
	X(H_TRANSFER_SIZE, B_SIZE, "file_transfer_size_bytes", "bytes",                      \
	  "File sizes of the transfers that were done")                                      \
	X(H_TRANSFER_DURATION, B_LONG, "file_transfer_duration_seconds", "seconds",          \
	  "Duration of the transfers that were done")                                        \
	X(H_QUEUE_WAIT, B_LONG, "pqc_queue_wait_seconds", "seconds",                         \
	  "Wait for a slot of those who got one")                                            \
	X(H_TRANSFER_START, B_ANSWER, "pqc_transfer_start_seconds", "seconds",               \
	  "From accept to the reply that accepts a transfer")                                \
	X(H_PART_VERIFY, B_PART, "pqc_part_verify_seconds", "seconds",                       \
	  "Verifying and hashing one part")                                                  \
	X(H_PART_WRITE, B_PART, "pqc_part_write_seconds", "seconds", "Writing one part")     \
	X(H_FSYNC, B_PART, "pqc_fsync_duration_seconds", "seconds", "One flush to the disk") \
	X(H_COMMIT, B_PART, "pqc_commit_duration_seconds", "seconds",                        \
	  "Making a whole upload an object")

#endif
