/*
 * Options: one table says what there is, its type, bounds, default and help.
 * Command line, environment, configuration file, --help, manual page and shell
 * completion all come from it. Nothing here prints.
 *
 * A value is taken from the first of: command line, environment, file, default.
 * What is given is always checked, also where something else wins.
 */
#ifndef PQC_CONFIG_OPT_H
#define PQC_CONFIG_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum opt_kind {
	OPT_FLAG,   /* --name; "yes" or "no" elsewhere */
	OPT_TEXT,   /* not empty */
	OPT_FILE,   /* text; a path, for completion */
	OPT_DIR,    /* text; a path, for completion */
	OPT_NUMBER, /* decimal */
	OPT_SIZE,   /* bytes: "64K", "1.5G" */
	OPT_TIME,   /* milliseconds: "30s", "5m", "250ms" */
	OPT_CHOICE, /* one of choices */
};

enum {
	OPT_LIST = 1,	/* text that may be given several times; commas in environment and file */
	OPT_RELOAD = 2, /* a running server takes a new value when it reloads */
	OPT_NO_ENV = 4, /* has no environment variable */
	OPT_COMMAND_LINE = 8 /* not in a configuration file */
};

struct opt {
	const char *name; /* without "--"; NULL ends a table */
	char letter;	  /* short form, or 0 */
	enum opt_kind kind;
	unsigned flags;
	const char *arg;     /* what the value is called in --help */
	const char *def;     /* as a person would write it; NULL: none */
	uint64_t min, max;   /* number, size, time */
	const char *choices; /* "json|text" */
	const char *env;     /* the variable when it is not PQC_<NAME> */
	const char *old_env; /* its name in the system before this one; PQC_<NAME> wins */
	int (*check)(const char *value, struct err *e); /* further rules for a text, or NULL */
	const char *help;				/* a sentence without its full stop */
};

/* A verb's options are several tables, ended by a NULL. */
typedef const struct opt *const *opt_tables;

enum opt_origin {
	OPT_UNSET,
	OPT_DEFAULT,
	OPT_FROM_FILE,
	OPT_FROM_OLD_ENV,
	OPT_FROM_ENV,
	OPT_FROM_ARGV
};

struct opts;

/* The tables are borrowed. NULL when memory is out. */
struct opts *opts_new(opt_tables tables);
void opts_free(struct opts *o);

/*
 * Read argv[0..argc): options and operands in any order, "--" ends the options,
 * "-" is an operand. The operands are moved to the front of argv, *operands is
 * their number. PQC_EUSAGE.
 */
int opts_argv(struct opts *o, int argc, char **argv, int *operands, struct err *e) MUST_CHECK;
/* Take "NAME=VALUE", a flag's value being yes or no, as the command line would --NAME. PQC_EUSAGE. */
int opts_set(struct opts *o, const char *setting, struct err *e) MUST_CHECK;
/* Read the process's environment. PQC_ECONFIG. */
int opts_env(struct opts *o, struct err *e) MUST_CHECK;
/* Read a file of "name = value" lines (config/conf.h). PQC_ECONFIG, PQC_ENOTFOUND. */
int opts_file(struct opts *o, const char *path, struct err *e) MUST_CHECK;
/*
 * The same command line with today's environment, file (NULL: none) and defaults: what a running
 * program reads when it is told to reload.
 */
int opts_reread(const struct opts *o, const char *path, struct opts **out,
		struct err *e) MUST_CHECK;
/* Fill in what nobody gave. To be called last. */
int opts_defaults(struct opts *o, struct err *e) MUST_CHECK;

/*
 * Values, by name. A name that is in none of the tables is a mistake in the
 * program, and aborts. Texts are borrowed until opts_free; NULL when there is no value.
 */
bool opt_flag(const struct opts *o, const char *name);
const char *opt_text(const struct opts *o, const char *name);
uint64_t opt_number(const struct opts *o,
		    const char *name); /* number, bytes, ms; 0 without a value */
size_t opt_count(const struct opts *o, const char *name);
const char *opt_item(const struct opts *o, const char *name, size_t i); /* i < count */
enum opt_origin opt_origin(const struct opts *o, const char *name);

/* PQC_<NAME>, or the variable the table names; "" when it has none. */
const char *opt_env_name(const struct opt *opt, char out[64]);
const struct opt *opt_find(opt_tables tables, const char *name, size_t n);

/*
 * Append the effective values in configuration file form, each with its origin
 * as a comment.
 */
void opts_dump(const struct opts *o, struct buf *out);

#endif
