#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/verbs.h"

static const struct opt options[] = {
	{.name = "out",
	 .letter = 'o',
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Where the private key goes, beside FILE.pub; without it $PQC_HOME/identity"},
	{.name = "suite",
	 .kind = OPT_TEXT,
	 .arg = "Kyber768|Kyber1024",
	 .def = "Kyber768",
	 .old_env = "PQC_ALGORITHM",
	 .check = suite_check,
	 .help = "The algorithms: X-Wing and ML-DSA-65 with Ed25519, or ML-KEM-1024 with P-384 "
		 "and ML-DSA-87"},
	{.name = "passphrase",
	 .letter = 'p',
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Ask for a passphrase that protects the private key"},
	{.name = "passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Protect the private key with the first line of FILE"},
	{.name = "comment",
	 .kind = OPT_TEXT,
	 .arg = "TEXT",
	 .help = "Goes into FILE.pub, for people; nothing vouches for it"},
	{.name = "json", .kind = OPT_FLAG, .help = "Print the result as a JSON object"},
	{0},
};
static const struct opt *const tables[] = {options, common_options, NULL};

static int get_passphrase(const struct cli *c, char **pass, struct err *e)
{
	const char *file = opt_text(c->opts, "passphrase-file");

	if (file != NULL)
		return passphrase_file(file, pass, e);
	if (!opt_flag(c->opts, "passphrase"))
		return 0;
	return passphrase_ask("New passphrase: ", true, pass, e);
}

static void tell(const struct cli *c, const struct identity *id, const char *path)
{
	const struct public_identity *p = identity_public(id);
	char hex[2 * ID_LEN + 1], pub[PATH_MAX + 8];
	struct json j;

	hex_encode(p->id, ID_LEN, hex);
	snprintf(pub, sizeof(pub), "%s.pub", path);
	if (opt_flag(c->opts, "json")) {
		json_begin(&j, "keygen");
		json_str(&j, "id", hex);
		json_str(&j, "suite", p->suite->name);
		json_str(&j, "private_key", path);
		json_str(&j, "public_key", pub);
		json_end(&j);
		return;
	}
	out("%s\n", hex);
	note("%s: the private key, for nobody else", path);
	note("%s: the public key, to give away", pub);
}

static int run(struct cli *c, struct err *e)
{
	struct identity *id = NULL;
	char path[PATH_MAX], *pass = NULL;
	int rc;

	if ((rc = path_option(c, "out", "identity", path, e)) != 0 ||
	    (rc = path_make_parent(path, e)) != 0 || (rc = get_passphrase(c, &pass, e)) != 0)
		goto out;
	if ((rc = identity_generate(suite_option(c), &id)) != 0) {
		err_set(e, rc, "cannot make a key");
		goto out;
	}
	if ((rc = identity_save(id, path, pass, opt_text(c->opts, "comment"), e)) != 0)
		goto out;
	tell(c, id, path);
	rc = out_finish(e);
out:
	passphrase_free(pass);
	identity_free(id);
	return rc;
}

const struct verb verb_keygen = {
	.name = "keygen",
	.operands = "",
	.summary = "make an identity: a private key, and the public key to give away",
	.text = "An identity signs what its owner sends, proves to a server who is connecting, "
		"and opens what others sealed to it. Its id, printed on standard output, is a "
		"hash of the public key. An existing file is never overwritten.",
	.examples = "pqc keygen\n"
		    "pqc keygen --out alice --comment 'Alice, laptop' --passphrase\n",
	.options = tables,
	.min = 0,
	.max = 0,
	.run = run,
};
