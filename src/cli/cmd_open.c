#include <fcntl.h>
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/seal_setup.h"
#include "cli/verbs.h"
#include "client/defaults.h"

#define SUFFIX ".pqx"

static const struct opt options[] = {
	{.name = "from",
	 .kind = OPT_TEXT,
	 .arg = "ID|FILE.pub",
	 .help = "Open it only if this identity signed it"},
	{0},
};
static const struct opt *const tables[] = {options, opener_options, file_options, common_options,
					   NULL};

/* IN without .pqx, or standard output for standard input. */
static int choose_out(const struct cli *c, const char *in, char path[PATH_MAX], struct err *e)
{
	const char *given = opt_text(c->opts, "out");
	size_t n = strlen(in), suffix = strlen(SUFFIX);

	if (given == NULL && strcmp(in, "-") == 0)
		given = "-";
	if (given == NULL &&
	    (n <= suffix || strcmp(in + n - suffix, SUFFIX) != 0 || in[n - suffix - 1] == '/'))
		return err_set(e, PQC_EUSAGE,
			       "%s does not end in " SUFFIX ": say with -o FILE where it goes", in);
	if (given == NULL)
		n -= suffix;
	else
		n = strlen(in = given);
	if (n >= PATH_MAX)
		return err_set(e, PQC_EUSAGE, "%.80s...: too long a path", in);
	memcpy(path, in, n);
	path[n] = '\0';
	return 0;
}

static void tell(const struct cli *c, const struct open_result *r, const char *path)
{
	const bool is_signed = pqx_header_is_signed(&r->header);
	char size[16], time[32], sender[2 * ID_LEN + 1];
	struct json j;

	hex_encode(r->header.sender_id, ID_LEN, sender);
	if (opt_flag(c->opts, "json") && strcmp(path, "-") != 0) {
		json_begin(&j, "opened");
		json_str(&j, "path", path);
		json_hex(&j, "file_id", r->header.file_id, sizeof(r->header.file_id));
		json_u64(&j, "size", r->plain_size);
		json_u64(&j, "parts", r->n);
		json_str(&j, "suite", r->header.suite->name);
		json_bool(&j, "signed", is_signed);
		if (is_signed)
			json_str(&j, "sender_id", sender);
		json_str(&j, "time", fmt_time(r->time, time));
		json_end(&j);
	} else if (!opt_flag(c->opts, "quiet")) {
		note("%s: %s, %s%s, %s", strcmp(path, "-") == 0 ? "standard output" : path,
		     fmt_size(r->plain_size, size), is_signed ? "signed by " : "not signed",
		     is_signed ? sender : "", fmt_time(r->time, time));
	}
}

static int open_to_file(const struct cli *c, struct open_opts *o, const char *in, const char *path,
			struct err *e)
{
	struct open_result r;
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
	rc = open_stream(o, &r, e);
	meter_end(&m);
	if (rc == 0)
		tell(c, &r, path);
	return advise_force(rc, e);
}

/* What an interrupted rewrap left is finished first. */
static int open_input(const char *in, int *fd, struct err *e)
{
	int rc = strcmp(in, "-") != 0 ? rewrap_repair(AT_FDCWD, in, e) : 0;

	if (rc > 0)
		note("%s: an interrupted rewrap was finished", in);
	return rc < 0 ? rc : input_open(in, fd, e);
}

static int run(struct cli *c, struct err *e)
{
	const char *in = c->argc > 0 ? c->argv[0] : "-";
	struct pqc_source from = {.kind = PQC_IO_FD, .fd = -1};
	struct open_opts o = {.from = &from, .threads = threads_option(c, default_seal_threads())};
	struct keyring k = {0};
	uint8_t sender[ID_LEN];
	char path[PATH_MAX];
	bool given;
	int rc;

	signals_catch();
	if ((rc = id_option(c, "from", sender, &given, e)) == 0 &&
	    (rc = choose_out(c, in, path, e)) == 0 && (rc = open_input(in, &from.fd, e)) == 0 &&
	    (rc = keyring_opener(&k, c, &o.keys, e)) == 0) {
		o.expected_sender = given ? sender : NULL;
		rc = open_to_file(c, &o, in, path, e);
	}
	input_close(from.fd);
	keyring_free(&k);
	return rc != 0 ? rc : out_finish(e);
}

const struct verb verb_open = {
	.name = "open",
	.operands = "[FILE|-]",
	.summary = "decrypt a file",
	.text = "Opens a container with your identity, or with the key or passphrase given: "
		"FILE.pqx to FILE. The output appears under its name when everything was "
		"checked: every part, their order and number, and the signature.\n"
		"\n"
		"To standard output or a pipe it goes as it is opened: act on it only when the "
		"exit code is 0.",
	.examples = "pqc open --from alice.pub report.pdf.pqx\n"
		    "pqc open -i bob -o - photos.tar.pqx | tar x\n",
	.options = tables,
	.min = 0,
	.max = 1,
	.run = run,
};
