/*
 * The command line program: verbs, and what they share. This directory is the only place
 * that prints, prompts or exits.
 */
#ifndef PQC_CLI_CLI_H
#define PQC_CLI_CLI_H

#include <limits.h>
#include <stdatomic.h>

#include "config/home.h"
#include "config/opt.h"
#include "crypto/identity.h"

struct cli;

/* Everything about a verb: --help, manual page, completion and parsing come from it. */
struct verb {
	const char *name;     /* "send", "trust add" */
	const char *operands; /* "FILE... URL", for people */
	const char *summary;  /* one line without a full stop */
	const char *text;     /* paragraphs, separated by empty lines */
	const char *examples; /* command lines, each ended by \n; or NULL */
	opt_tables options;
	int min, max; /* operands; max -1: any number */
	int (*run)(struct cli *c, struct err *e);
};

/* One run of a verb. */
struct cli {
	const struct verb *verb;
	struct opts *opts;
	int argc; /* operands */
	char **argv;
};

/* Ended by NULL. */
extern const struct verb *const verbs[];
/* The verb that words[0] or words[0..2) name, NULL when there is none; *used: how many words. */
const struct verb *verb_find(int n, char *const *words, int *used);

/* Options that every verb has, and tables that several share; each is one entry of opt_tables. */
extern const struct opt common_options[];   /* help */
extern const struct opt identity_options[]; /* identity and its passphrase */
extern const struct opt client_options[];   /* how to reach a server and whom to trust */
extern const struct opt transfer_options[]; /* threads, retry, progress */

/* ---- paths (paths.c; more in config/home.h) ---- */

/* The option's value, or else the file of this name in home. */
int path_option(const struct cli *c, const char *option, const char *leaf, char out[PATH_MAX],
		struct err *e) MUST_CHECK;
/* The last component; "." and "/" have none that serves as a name: NULL. */
const char *path_base(const char *path);

/* ---- keys (keys.c) ---- */

#define PASSPHRASE_MAX 1024

/* The first line of a file, "-" being standard input; mode 0600 or narrower. *out by secret_alloc(PASSPHRASE_MAX). */
int passphrase_file(const char *path, char **out, struct err *e) MUST_CHECK;
/* Ask on the terminal; twice: and again, to be sure. PQC_EPASSPHRASE without a terminal. */
int passphrase_ask(const char *prompt, bool twice, char **out, struct err *e) MUST_CHECK;
void passphrase_free(char *pass);
/* 64 hex digits in a file of mode 0600 or narrower; *out by secret_alloc(KEY_LEN). */
int raw_key_file(const char *path, uint8_t **out, struct err *e) MUST_CHECK;
/* The passphrase of a private key: that of the file which pass_option names, else what somebody types. */
int identity_passphrase(const struct cli *c, const char *path, const char *pass_option, char **pass,
			struct err *e) MUST_CHECK;
/* Load a private key; pass_option names the option with the file of its passphrase. */
int load_identity(const struct cli *c, const char *path, const char *pass_option,
		  struct identity **out, struct err *e) MUST_CHECK;
/* That of --identity or of home. */
int own_identity(const struct cli *c, const char *pass_option, struct identity **out,
		 struct err *e) MUST_CHECK;
/* An identity's id: 64 hex digits, or a FILE.pub. comment may be NULL; "" when there is none. */
int parse_id(const char *text, uint8_t id[ID_LEN], char comment[128], struct err *e) MUST_CHECK;
/* option's id; *given tells whether there is one. */
int id_option(const struct cli *c, const char *option, uint8_t id[ID_LEN], bool *given,
	      struct err *e) MUST_CHECK;
/* The --suite option's; NULL when it was not given. */
const struct suite *suite_option(const struct cli *c);
/* The --part-size option's; says on standard error when it was rounded up. */
int part_size_option(const struct cli *c, uint32_t *out, struct err *e) MUST_CHECK;

/* ---- signals (signals.c) ---- */

/* From now on SIGINT and SIGTERM set the flag, once; a second one ends the program at once. */
void signals_catch(void);
const atomic_bool *signals_flag(void);

/* ---- processors ---- */

/* The --threads option, else so many (client/defaults.h). */
unsigned threads_option(const struct cli *c, unsigned otherwise);

#endif
