/* Where log lines go: a descriptor whose other end may be slow or dead. */
#ifndef PQC_BASE_LOG_SINK_H
#define PQC_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct log_sink;

/* fd stays the caller's, who closes it after log_sink_free. PQC_ENOMEM. */
int log_sink_new(struct log_sink **out, int fd) MUST_CHECK;
void log_sink_free(struct log_sink *s);
/*
 * Write a line with its newline, at most PIPE_BUF bytes, by one write(2) where the other end takes
 * it whole. Any thread. False when it is lost: an error, or a pipe or socket had no room for
 * 100 ms, or has none still since the line before was lost. What arrived of a lost line stays a
 * line of its own.
 */
bool log_sink_write(struct log_sink *s, const void *line, size_t n) MUST_CHECK;

#endif
