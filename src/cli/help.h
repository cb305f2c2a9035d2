/* Everything people read about the program, made from the tables. */
#ifndef PQC_CLI_HELP_H
#define PQC_CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

#define PROGRAM_SUMMARY "move large files between parties, safe against quantum computers"

#define HELP_DESCRIPTION                                                                          \
	"Files are sealed once, for the server or for recipients of your choice, signed by your " \
	"identity, and sent in parts; the server stores them as they are and answers with a "     \
	"signed receipt. Interrupted transfers go on where they stopped.\n"                       \
	"\n"                                                                                      \
	"Results go to standard output, with --json as one object a line. Progress, questions "   \
	"and errors go to standard error. Secrets are never given on the command line, but in "   \
	"files that only their owner can read, or at the terminal."

/* ---- to be printed, each form by its file, help_<form>.c ---- */

void help_summary(FILE *f);
void help_verb(const struct verb *v);
void help_man(void);
void help_markdown(void);
void help_completion(void);
int help_observability(struct err *e) MUST_CHECK;
/* PQC_EUSAGE: there is no such verb. */
int help_unknown(int n, char *const *words, struct err *e);

/* ---- what the forms share (help_common.c) ---- */

struct help_item {
	const char *name, *text;
};
/* Ended by a NULL name. */
extern const struct help_item help_environment[], help_files[];

/* Tables that many verbs take: the long forms describe them once. Ended by a NULL table. */
struct help_group {
	const struct opt *table;
	const char *title; /* "connection options" */
};
extern const struct help_group help_groups[];
bool help_takes(const struct verb *v, const struct opt *table);
/* Has it any options besides those, and --help? */
bool help_has_own(const struct verb *v);

/* The i-th exit code and all its meanings in words, appended to b; false behind the last. */
bool help_exit_code(size_t i, int *code, struct buf *b);
/* "Why. Default 10m. Variable PQC_RETRY_FOR.": all that is to be said of an option. */
void help_option_text(const struct opt *o, struct buf *b);
/* Call fn for each option of a verb; own: not for those of help_groups, and not for --help. */
void help_each_option(const struct verb *v, bool own, void (*fn)(const struct opt *o));
/* The next paragraph of a text: its start, *n bytes, and *text moved behind it; NULL at the end. */
const char *help_paragraph(const char **text, size_t *n);
/* The next line, likewise. */
const char *help_line(const char **text, size_t *n);
/*
 * Write s[n] in lines of at most `width` columns, each indented; the first one stands at column
 * `first` already. put writes a word to f; NULL: as it is.
 */
struct help_wrap {
	FILE *f;
	int first, indent, width;
	void (*put)(FILE *f, const char *word, size_t n);
};
void help_wrap(const struct help_wrap *w, const char *s, size_t n);

#endif
