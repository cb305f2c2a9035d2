/*
 * Spans as a collector wants them: ExportTraceServiceRequest of opentelemetry-proto in its JSON
 * form (OTLP specification, "JSON Protobuf Encoding"). No input or output.
 */
#ifndef PQC_TELEMETRY_OTLP_H
#define PQC_TELEMETRY_OTLP_H

#include "base/buf.h"
#include "telemetry/trace.h"

/* No span takes more, names and keys of at most 64 bytes provided. */
#define OTLP_SPAN_MAX 8192

/* Append the beginning, spans, and the end. Check buf_error() afterwards. */
void otlp_begin(struct buf *b, const char *service_name, const char *instance);
void otlp_span(struct buf *b, const struct trace_span *s, bool first);
void otlp_end(struct buf *b);
/* How many spans an answer of success (ExportTraceServiceResponse) says were not taken. */
uint64_t otlp_rejected(const void *answer, size_t n);

#endif
