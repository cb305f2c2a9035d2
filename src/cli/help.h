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

/* ---- to be printed (help.c, help_man.c, help_markdown.c, help_completion.c) ---- */

void help_summary(FILE *f);
void help_verb(const struct verb *v);
void help_man(void);
void help_markdown(void);
void help_completion(void);
/* PQC_EUSAGE: there is no such verb. */
int help_unknown(int n, char *const *words, struct err *e);

/* ---- what the forms share (help_common.c) ---- */

struct help_item {
	const char *name, *text;
};
/* Ended by a NULL name. */
extern const struct help_item help_environment[], help_files[];

/* The i-th exit code and all its meanings in words, appended to b; false behind the last. */
bool help_exit_code(size_t i, int *code, struct buf *b);
/* "Default 10m. Variable PQC_RETRY_FOR.": what there is to say besides opt->help. */
void help_option_notes(const struct opt *o, struct buf *b);
/* Call fn for each option of a verb. */
void help_each_option(const struct verb *v, void (*fn)(const struct opt *o));
/* The next paragraph of a text: its start, *n bytes, and *text moved behind it; NULL at the end. */
const char *help_paragraph(const char **text, size_t *n);
/* The next line, likewise. */
const char *help_line(const char **text, size_t *n);

#endif
