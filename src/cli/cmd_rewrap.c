#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "cli/seal_setup.h"
#include "cli/verbs.h"

static const struct opt options[] = {
	{.name = "add",
	 .letter = 'a',
	 .kind = OPT_FILE,
	 .flags = OPT_LIST,
	 .arg = "FILE.pub",
	 .help = "Who shall be able to open it too; may be given several times"},
	{.name = "remove",
	 .letter = 'r',
	 .kind = OPT_TEXT,
	 .flags = OPT_LIST,
	 .arg = "ID|FILE.pub",
	 .help = "Who shall no longer; may be given several times"},
	{.name = "remove-all",
	 .kind = OPT_FLAG,
	 .help = "Remove everybody and everything that opens it now, before adding"},
	{.name = "add-passphrase",
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Ask for a new passphrase, which from then on is all that opens it; implies "
		 "--remove-all"},
	{.name = "add-passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "The same with the first line of FILE"},
	{.name = "remove-passphrase",
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Remove the passphrase; recipients must be added with --add"},
	{.name = "json", .kind = OPT_FLAG, .help = "Print the result as a JSON object"},
	{0},
};
static const struct opt *const tables[] = {options, opener_options, common_options, NULL};

struct rewrap {
	struct keyring opener, added;
	struct rewrap_opts o;
	uint8_t (*remove)[ID_LEN];
};

static int take_removals(struct rewrap *r, const struct cli *c, struct err *e)
{
	size_t n = opt_count(c->opts, "remove");
	int rc;

	if ((r->remove = calloc(n + 1, sizeof(*r->remove))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		if ((rc = parse_id(opt_item(c->opts, "remove", i), r->remove[i], NULL, e)) != 0) {
			err_prefix(e, "--remove");
			return rc;
		}
	r->o.remove = (const uint8_t(*)[ID_LEN])r->remove;
	r->o.nremove = n;
	/* A passphrase is the only thing that opens a file, so removing it removes all there is. */
	r->o.remove_all = opt_flag(c->opts, "remove-all") || r->added.passphrase != NULL ||
			  opt_flag(c->opts, "remove-passphrase");
	return 0;
}

static int take_options(struct rewrap *r, const struct cli *c, struct err *e)
{
	int rc;

	if ((rc = keyring_recipients(&r->added, c, "add", e)) != 0 ||
	    (rc = keyring_passphrase(&r->added, c, "add-", true, e)) != 0 ||
	    (rc = take_removals(r, c, e)) != 0)
		return rc;
	if (r->added.passphrase != NULL && r->added.n > 0)
		return err_set(e, PQC_EUSAGE, "a passphrase stands alone: --add cannot go with it");
	if (r->added.n == 0 && r->added.passphrase == NULL && r->o.nremove == 0 && !r->o.remove_all)
		return err_set(e, PQC_EUSAGE,
			       "what shall change? give --add, --remove or --add-passphrase");
	if (r->o.remove_all && r->added.n == 0 && r->added.passphrase == NULL)
		return err_set(e, PQC_EUSAGE, "nobody could open it any more: give --add too");
	r->o.add = (struct seal_to){.recipients = r->added.list,
				    .nrecipients = r->added.n,
				    .passphrase = r->added.passphrase};
	return 0;
}

static void tell(const struct cli *c, uint32_t generation)
{
	struct json j;

	if (opt_flag(c->opts, "json")) {
		json_begin(&j, "rewrapped");
		json_str(&j, "path", c->argv[0]);
		json_u64(&j, "generation", generation);
		json_end(&j);
	} else {
		note("%s: rewrapped", c->argv[0]);
	}
}

static int run(struct cli *c, struct err *e)
{
	struct rewrap r = {.o = {.dirfd = AT_FDCWD, .path = c->argv[0]}};
	uint32_t generation;
	int rc;

	signals_catch();
	if ((rc = take_options(&r, c, e)) == 0 &&
	    (rc = keyring_opener(&r.opener, c, &r.o.keys, e)) == 0 &&
	    (rc = rewrap_file(&r.o, &generation, e)) == 0)
		tell(c, generation);
	keyring_free(&r.opener);
	keyring_free(&r.added);
	free(r.remove);
	return rc != 0 ? rc : out_finish(e);
}

const struct verb verb_rewrap = {
	.name = "rewrap",
	.operands = "FILE",
	.summary = "change who can open a sealed file, without sealing it again",
	.text = "Needs a key that opens the file now. Only its key block is written anew, which "
		"takes a moment whatever the size of the file, and is safe against a crash.\n"
		"\n"
		"Who was removed may have kept the file's key or a copy from before: for what "
		"they must not read in future, seal anew.",
	.examples = "pqc rewrap --add carol.pub report.pdf.pqx\n"
		    "pqc rewrap -i bob --remove carol.pub report.pdf.pqx\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
