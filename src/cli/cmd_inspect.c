#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/seal_setup.h"
#include "cli/verbs.h"
#include "client/inspect_json.h"

static const struct opt options[] = {
	{.name = "json", .kind = OPT_FLAG, .help = "Print it as a JSON object"},
	{0},
};
static const struct opt *const tables[] = {options, common_options, NULL};

static const char *const status_texts[] = {
	[MANIFEST_UNSEEN] = "not seen: it stands at the end, and this was read from a pipe",
	[MANIFEST_BAD] = "MISSING OR DAMAGED: this file is cut off or edited",
	[MANIFEST_SIGNED] = "signed, and the signature is good",
	[MANIFEST_UNSIGNED] = "not signed; only who can open it can check it",
};

static void tell_json(const char *path, const struct inspect_result *r)
{
	struct json j;

	inspect_json(path, r, &j);
	json_end(&j);
}

static void stanza_text(const struct stanza_info *s)
{
	char hex[2 * ID_LEN + 1];

	switch (s->type) {
	case STANZA_XWING:
	case STANZA_MLKEM1024_P384:
		hex_encode(s->id, ID_LEN, hex);
		out("  opens for   %s (%s)\n", hex,
		    s->type == STANZA_XWING ? "X-Wing" : "ML-KEM-1024 + P-384");
		break;
	case STANZA_KEK:
		hex_encode(s->kek_id, KEK_ID_LEN, hex);
		out("  opens for   server key %s, version %u\n", hex, s->kek_version);
		break;
	case STANZA_PASSPHRASE:
		out("  opens for   a passphrase (Argon2id: %u MiB, %u passes, %u lanes)\n",
		    s->argon.m_kib / 1024, s->argon.t, s->argon.p);
		break;
	case STANZA_RAW:
		out("  opens for   a raw key\n");
		break;
	}
}

static void manifest_text(const struct inspect_result *r)
{
	char size[16], time[32], root[2 * HASH_MAX + 1];

	out("  manifest    %s\n", status_texts[r->status]);
	if (r->status != MANIFEST_SIGNED && r->status != MANIFEST_UNSIGNED)
		return;
	hex_encode(r->manifest.root, r->header.suite->hash_len, root);
	out("  content     %llu bytes (%s) in %llu parts\n",
	    (unsigned long long)r->manifest.plain_size, fmt_size(r->manifest.plain_size, size),
	    (unsigned long long)r->manifest.n);
	out("  root        %s\n", root);
	out("  sealed      %s\n", fmt_time(r->manifest.time, time));
}

static void tell_text(const char *path, const struct inspect_result *r)
{
	const struct pqx_header *h = &r->header;
	char file[65], sender[2 * ID_LEN + 1], size[16];

	hex_encode(h->file_id, sizeof(h->file_id), file);
	hex_encode(h->sender_id, ID_LEN, sender);
	out("%s: PQX container, version 1\n", path);
	out("  suite       %s, parts of %s%s\n", h->suite->name, fmt_size(h->part_size, size),
	    (h->flags & PQX_FLAG_E2E) != 0 ? ", end to end" : "");
	out("  file id     %s\n", file);
	out("  sender      %s\n", pqx_header_is_signed(h) ? sender : "nobody signed it");
	manifest_text(r);
	for (size_t i = 0; i < r->nstanzas; i++)
		stanza_text(&r->stanza[i]);
	out("  key block   generation %u\n", r->generation);
}

static int run(struct cli *c, struct err *e)
{
	struct inspect_result *r = malloc(sizeof(*r));
	int fd = -1, rc;

	if (r == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = input_open(c->argv[0], &fd, e)) == 0 && (rc = inspect_file(fd, r, e)) != 0)
		err_prefix(e, "%s", c->argv[0]);
	if (rc == 0) {
		if (opt_flag(c->opts, "json"))
			tell_json(c->argv[0], r);
		else
			tell_text(c->argv[0], r);
		if (r->status == MANIFEST_BAD)
			rc = err_set(e, PQC_EINTEGRITY, "%s: the manifest is missing or damaged",
				     c->argv[0]);
	}
	input_close(fd);
	free(r);
	return rc != 0 ? rc : out_finish(e);
}

const struct verb verb_inspect = {
	.name = "inspect",
	.operands = "FILE|-",
	.summary = "show what a sealed file says of itself",
	.text = "Everything that can be known without a key. A signature is checked; whether the "
		"parts are whole only opening shows. The exit code is 6 when the end of the file "
		"is missing or damaged.",
	.examples = "pqc inspect report.pdf.pqx\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
