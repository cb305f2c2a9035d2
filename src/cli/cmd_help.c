#include <string.h>

#include "cli/help.h"
#include "cli/out.h"
#include "cli/verbs.h"

static const struct opt options[] = {
	{.name = "man",
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Print the manual page, for mandoc or man"},
	{.name = "markdown",
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Print the reference of verbs, options and exit codes"},
	{.name = "observability",
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Print the reference of metrics, log events, spans and health checks"},
	{.name = "completion",
	 .kind = OPT_CHOICE,
	 .flags = OPT_NO_ENV,
	 .arg = "bash",
	 .choices = "bash",
	 .help = "Print what makes this shell complete command lines"},
	{0},
};
static const struct opt *const tables[] = {options, common_options, NULL};

static int one_verb(const struct cli *c, struct err *e)
{
	int used;
	const struct verb *v = verb_find(c->argc, c->argv, &used);

	if (v == NULL || used != c->argc)
		return help_unknown(c->argc, c->argv, e);
	help_verb(v);
	return 0;
}

static int run(struct cli *c, struct err *e)
{
	int rc = 0;

	if (opt_flag(c->opts, "man"))
		help_man();
	else if (opt_flag(c->opts, "markdown"))
		help_markdown();
	else if (opt_flag(c->opts, "observability"))
		rc = help_observability(e);
	else if (opt_text(c->opts, "completion") != NULL)
		help_completion();
	else if (c->argc > 0)
		rc = one_verb(c, e);
	else
		help_summary(stdout);
	return rc != 0 ? rc : out_finish(e);
}

const struct verb verb_help = {
	.name = "help",
	.operands = "[VERB]",
	.summary = "explain the program, or a verb",
	.text = "The same as --help, and the other forms of what it says.",
	.examples = "pqc help send\n"
		    "pqc help --man | man -l -\n"
		    "pqc help --completion bash > /etc/bash_completion.d/pqc\n",
	.options = tables,
	.min = 0,
	.max = 2,
	.run = run,
};
