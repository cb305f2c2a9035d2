/*
 * What goes to a person or a script. Control characters and characters that deceive the eye are
 * replaced by '?' in everything but constant texts, so that no name or comment steers a terminal.
 */
#ifndef PQC_CLI_OUT_H
#define PQC_CLI_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"

/* To standard output: data. */
void out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* To standard error: what happens. A line; note_part leaves out its end. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note_part(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A constant text, as it is. */
void out_text(const char *text);
/* Flush standard output. An error of any write so far is told here. */
int out_finish(struct err *e) MUST_CHECK;

/* "who: message" on standard error; with json also an object on standard output. */
void out_error(const char *who, int rc, const struct err *e, bool json);

/* Close what json_begin opened: a line of standard output. Frees it. */
void json_end(struct json *j);

/* After PQC_EEXIST: add to e how to replace what is there. Returns rc. */
int advise_force(int rc, struct err *e);

#endif
