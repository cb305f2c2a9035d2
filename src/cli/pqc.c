/* The program: find the verb, read its options, run it, say what went wrong. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "crypto/secmem.h"

const struct verb *const verbs[] = {
	&verb_keygen,	   &verb_send,	     &verb_get,		  &verb_list,
	&verb_delete,	   &verb_receipt,    &verb_ping,	  &verb_seal,
	&verb_open,	   &verb_rewrap,     &verb_inspect,	  &verb_serve,
	&verb_top,	   &verb_trust_list, &verb_trust_add,	  &verb_trust_remove,
	&verb_trust_allow, &verb_trust_deny, &verb_trust_clients, &verb_trust_role,
	&verb_trust_roles, &verb_help,	     &verb_version,	  NULL,
};

/* Does the verb's name consist of the first *used of these words? */
static bool is_named(const struct verb *v, int n, char *const *words, int *used)
{
	const char *blank = strchr(v->name, ' ');
	size_t first = blank != NULL ? (size_t)(blank - v->name) : strlen(v->name);

	if (n < 1 || strlen(words[0]) != first || memcmp(words[0], v->name, first) != 0)
		return false;
	*used = blank != NULL ? 2 : 1;
	return blank == NULL || (n > 1 && strcmp(words[1], blank + 1) == 0);
}

const struct verb *verb_find(int n, char *const *words, int *used)
{
	for (const struct verb *const *v = verbs; *v != NULL; v++)
		if (is_named(*v, n, words, used))
			return *v;
	return NULL;
}

/* "--json" is looked for by itself: a command line that is not understood is reported in JSON too. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

static int check_operands(const struct cli *c, struct err *e)
{
	const struct verb *v = c->verb;

	if (v->max >= 0 && c->argc > v->max)
		return err_set(e, PQC_EUSAGE, "'%.80s' is one too many: expected %s",
			       c->argv[v->max], v->operands[0] != '\0' ? v->operands : "nothing");
	if (c->argc < v->min)
		return err_set(e, PQC_EUSAGE, "expected %s, found %s", v->operands,
			       c->argc == 0 ? "nothing" : "less");
	return 0;
}

/* From the command line the file is named, so it is read behind the environment. */
static int read_options(struct cli *c, struct err *e)
{
	const struct opt *config = opt_find(c->verb->options, "config", strlen("config"));
	const char *path;
	int rc;

	if ((rc = opts_env(c->opts, e)) != 0)
		return rc;
	path = config != NULL ? opt_text(c->opts, "config") : NULL;
	if (path != NULL && (rc = opts_file(c->opts, path, e)) != 0)
		return rc;
	return opts_defaults(c->opts, e);
}

static int run_verb(const struct verb *v, int argc, char **argv, struct err *e)
{
	struct cli c = {.verb = v, .opts = opts_new(v->options), .argv = argv};
	int rc;

	if (c.opts == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = opts_argv(c.opts, argc, argv, &c.argc, e)) != 0)
		goto out;
	if (opt_flag(c.opts, "help")) {
		help_verb(v);
		rc = out_finish(e);
	} else if ((rc = read_options(&c, e)) == 0 && (rc = check_operands(&c, e)) == 0) {
		rc = v->run(&c, e);
	}
out:
	opts_free(c.opts);
	return rc;
}

/* What main does before there is a verb. */
static int dispatch(int argc, char **argv, const struct verb **v, struct err *e)
{
	int used;

	if (argc < 2) {
		help_summary(stderr);
		return err_set(e, PQC_EUSAGE, "expected a verb");
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help_summary(stdout);
		return out_finish(e);
	}
	if (strcmp(argv[1], "--version") == 0) {
		out("pqc %s\n", PQC_VERSION);
		return out_finish(e);
	}
	if ((*v = verb_find(argc - 1, argv + 1, &used)) == NULL)
		return help_unknown(argc - 1, argv + 1, e);
	return run_verb(*v, argc - 1 - used, argv + 1 + used, e);
}

static void report(const struct verb *v, int rc, const struct err *e, bool json)
{
	char who[64];

	snprintf(who, sizeof(who), "pqc%s%s", v != NULL ? " " : "", v != NULL ? v->name : "");
	out_error(who, rc, e, json);
	if (rc == PQC_EUSAGE)
		note("Try '%s --help'.", who);
}

int main(int argc, char **argv)
{
	const bool json = wants_json(argc, argv);
	const struct verb *v = NULL;
	struct err e = {0};
	int rc;

	signal(SIGPIPE, SIG_IGN);
	if ((rc = crypto_harden()) != 0)
		err_set(&e, rc, "core dumps cannot be switched off");
	else
		rc = dispatch(argc, argv, &v, &e);
	if (rc != 0)
		report(v, rc, &e, json);
	return err_exit_code(rc);
}
