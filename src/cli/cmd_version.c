#include "cli/out.h"
#include "cli/verbs.h"

static const struct opt *const tables[] = {common_options, NULL};

static int run(struct cli *c, struct err *e)
{
	(void)c;
	out("pqc %s\n", PQC_VERSION);
	return out_finish(e);
}

const struct verb verb_version = {
	.name = "version",
	.operands = "",
	.summary = "print the version",
	.text = "Prints the name of the program and its version.",
	.options = tables,
	.run = run,
};
