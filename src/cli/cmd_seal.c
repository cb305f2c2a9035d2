#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/out.h"
#include "cli/seal_setup.h"
#include "cli/verbs.h"
#include "client/defaults.h"

static const struct opt options[] = {
	{.name = "recipient",
	 .letter = 'r',
	 .kind = OPT_FILE,
	 .flags = OPT_LIST,
	 .arg = "FILE.pub",
	 .help = "Whose private key shall open it; may be given several times"},
	{.name = "passphrase",
	 .letter = 'p',
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Ask for a passphrase that shall open it, and nothing else"},
	{.name = "passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .env = "PQC_SEAL_PASSPHRASE_FILE",
	 .help = "The first line of FILE shall open it, and nothing else"},
	{.name = "raw-key-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "The key in FILE shall open it: 64 hex digits, mode 0600"},
	{.name = "associated-data-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Bind that key to the bytes of FILE, at most 64 KiB: who opens must have them "
		 "too"},
	{.name = "kek-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .env = "PQC_SEAL_KEK_FILE",
	 .help = "The key-encryption key in FILE shall open it (docs/keys.md), mode 0600"},
	{.name = "sign", .letter = 's', .kind = OPT_FLAG, .help = "Sign it with your own identity"},
	{.name = "sign-with",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Sign it with this private key"},
	{.name = "identity",
	 .letter = 'i',
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Your own identity, for --sign; without it $PQC_HOME/identity"},
	{.name = "key-passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .env = "PQC_PASSPHRASE_FILE",
	 .help = "Holds the signing key's own passphrase in its first line; without it you are "
		 "asked"},
	{.name = "suite",
	 .kind = OPT_TEXT,
	 .arg = "Kyber768|Kyber1024",
	 .old_env = "PQC_ALGORITHM",
	 .check = suite_check,
	 .help = "The algorithms; without it the signer's, else Kyber768"},
	{.name = "part-size",
	 .kind = OPT_SIZE,
	 .arg = "SIZE",
	 .def = DEFAULT_SEAL_PART,
	 .min = 1,
	 .max = PQX_PART_MAX,
	 .old_env = "STREAM_CHUNK_SIZE",
	 .help = "It is sealed in parts of this size, a power of two from 64K to 32M"},
	{0},
};

static const struct opt *const tables[] = {options, file_options, common_options, NULL};

static int load_signer(const struct cli *c, struct keyring *k, struct err *e)
{
	const char *path = opt_text(c->opts, "sign-with");

	if (path != NULL)
		return load_identity(c, path, "key-passphrase-file", &k->identity, e);
	if (opt_flag(c->opts, "sign"))
		return own_identity(c, "key-passphrase-file", &k->identity, e);
	return 0;
}

static int load_keys(const struct cli *c, struct keyring *k, struct seal_opts *o, struct err *e)
{
	int rc;

	if ((rc = keyring_recipients(k, c, "recipient", e)) != 0 ||
	    (rc = keyring_passphrase(k, c, "", true, e)) != 0 ||
	    (rc = keyring_keys(k, c, e)) != 0 || (rc = load_signer(c, k, e)) != 0)
		return rc;
	if (k->n == 0 && k->passphrase == NULL && k->raw_key == NULL && k->kek == NULL)
		return err_set(e, PQC_EUSAGE,
			       "for whom? give -r FILE.pub, --passphrase, "
			       "--passphrase-file, --raw-key-file or --kek-file");
	if (k->passphrase != NULL && (k->n > 0 || k->raw_key != NULL || k->kek != NULL))
		return err_set(e, PQC_EUSAGE,
			       "a passphrase stands alone: who has it could pretend to be any of "
			       "the others");
	o->whom = (struct seal_to){.recipients = k->list,
				   .nrecipients = k->n,
				   .passphrase = k->passphrase,
				   .raw_key = k->raw_key,
				   .associated_data = k->data.p,
				   .associated_data_size = k->data.len,
				   .kek = k->kek};
	o->sign = k->identity;
	o->suite = suite_option(c);
	if (o->suite != NULL && o->sign != NULL && o->suite != identity_public(o->sign)->suite) {
		/* An old variable for all programs does not outweigh the key in hand. */
		if (opt_origin(c->opts, "suite") != OPT_FROM_ARGV)
			o->suite = NULL;
		else
			return err_set(e, PQC_EUSAGE, "--suite: the signing key is one of %s",
				       identity_public(o->sign)->suite->name);
	}
	return 0;
}

/* IN.pqx, or standard output for standard input. */
static int choose_out(const struct cli *c, const char *in, char path[PATH_MAX], struct err *e)
{
	const char *given = opt_text(c->opts, "out");
	int n;

	if (given == NULL && strcmp(in, "-") == 0)
		given = "-";
	n = given != NULL ? snprintf(path, PATH_MAX, "%s", given)
			  : snprintf(path, PATH_MAX, "%s.pqx", in);
	return n < PATH_MAX ? 0 : err_set(e, PQC_EUSAGE, "%.80s...: too long a path", in);
}

static void tell(const struct cli *c, const struct seal_result *r, const char *path)
{
	char size[16];
	struct json j;

	if (opt_flag(c->opts, "json") && strcmp(path, "-") != 0) {
		json_begin(&j, "sealed");
		json_str(&j, "path", path);
		json_hex(&j, "file_id", r->header.file_id, sizeof(r->header.file_id));
		json_u64(&j, "size", r->plain_size);
		json_u64(&j, "sealed_size", r->sealed_size);
		json_u64(&j, "parts", r->n);
		json_str(&j, "suite", r->header.suite->name);
		json_bool(&j, "signed", pqx_header_is_signed(&r->header));
		json_end(&j);
	} else if (!opt_flag(c->opts, "quiet") && strcmp(path, "-") != 0) {
		note("%s: sealed, %s%s", path, fmt_size(r->sealed_size, size),
		     pqx_header_is_signed(&r->header) ? ", signed" : "");
	}
}

static int seal_to_file(const struct cli *c, struct seal_opts *o, const char *in, const char *path,
			struct err *e)
{
	struct seal_result r;
	struct pqc_sink to;
	struct meter m;
	int rc;

	if ((rc = output_sink(c, path, &to, e)) != 0)
		return rc;
	meter_begin(&m, in, opt_flag(c->opts, "quiet"));
	o->to = &to;
	o->cancel = signals_flag();
	o->progress = seal_progress;
	o->arg = &m;
	rc = seal_stream(o, &r, e);
	meter_end(&m);
	if (rc == 0)
		tell(c, &r, path);
	return advise_force(rc, e);
}

static int run(struct cli *c, struct err *e)
{
	const char *in = c->argc > 0 ? c->argv[0] : "-";
	struct pqc_source from = {.kind = PQC_IO_FD, .fd = -1};
	struct seal_opts o = {.from = &from, .threads = threads_option(c, default_seal_threads())};
	struct keyring k = {0};
	char path[PATH_MAX];
	int rc;

	o.time = clock_unix();
	signals_catch();
	if ((rc = part_size_option(c, &o.part_size, e)) == 0 &&
	    (rc = choose_out(c, in, path, e)) == 0 && (rc = input_open(in, &from.fd, e)) == 0 &&
	    (rc = load_keys(c, &k, &o, e)) == 0)
		rc = seal_to_file(c, &o, in, path, e);
	input_close(from.fd);
	keyring_free(&k);
	return rc != 0 ? rc : out_finish(e);
}

const struct verb verb_seal = {
	.name = "seal",
	.operands = "[FILE|-]",
	.summary = "encrypt a file for recipients, a passphrase or a key",
	.text = "Makes a container that only its recipients open, FILE.pqx for FILE. With --sign "
		"or --sign-with they see who made it, and that nobody changed it; without, "
		"anybody who can open it could have made it.\n"
		"\n"
		"The output appears under its name when it is complete.",
	.examples = "pqc seal -r bob.pub --sign report.pdf\n"
		    "tar c photos | pqc seal -r bob.pub -r carol.pub -o photos.tar.pqx\n"
		    "pqc seal --passphrase notes.txt\n",
	.options = tables,
	.min = 0,
	.max = 1,
	.run = run,
};
