#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/receipt_file.h"
#include "cli/verbs.h"

#define RECEIPT_FILE_MAX ((size_t)64 << 10)

static const struct opt options[] = {
	{.name = "out",
	 .letter = 'o',
	 .kind = OPT_FILE,
	 .arg = "FILE|DIR|-",
	 .help = "Where the receipt goes; without it $PQC_HOME/state/receipts/"},
	{.name = "verify",
	 .kind = OPT_FLAG,
	 .help = "The operand is a receipt in a file: check it, without any server"},
	{.name = "server",
	 .kind = OPT_TEXT,
	 .arg = "ID|FILE.pub",
	 .help = "With --verify: the receipt must be this server's"},
	{.name = "sender",
	 .kind = OPT_TEXT,
	 .arg = "ID|FILE.pub",
	 .help = "With --verify: the object must have been sent by this identity"},
	{0},
};
static const struct opt *const tables[] = {options, client_options, identity_options,
					   common_options, NULL};

/* ---- verifying ---- */

static int check_party(const struct cli *c, const char *option, const uint8_t found[ID_LEN],
		       bool *checked, struct err *e)
{
	char hex[2 * ID_LEN + 1];
	uint8_t id[ID_LEN];
	int rc;

	if ((rc = id_option(c, option, id, checked, e)) != 0 || !*checked)
		return rc;
	if (memcmp(id, found, ID_LEN) == 0)
		return 0;
	hex_encode(found, ID_LEN, hex);
	return err_set(e, PQC_EREFUSED, "the receipt is good, but its %s is another: %s", option,
		       hex);
}

static void tell_json(const struct pqx_bundle *b, bool server_checked, bool sender_checked)
{
	char time[32];
	struct json j;

	json_begin(&j, "receipt");
	json_bool(&j, "valid", true);
	json_hex(&j, "file_id", b->header.file_id, sizeof(b->header.file_id));
	json_u64(&j, "size", b->manifest.plain_size);
	json_u64(&j, "parts", b->manifest.n);
	json_str(&j, "suite", b->manifest.suite->name);
	json_hex(&j, "root", b->manifest.root, b->manifest.suite->hash_len);
	json_hex(&j, "sender_id", b->header.sender_id, ID_LEN);
	json_bool(&j, "sender_expected", sender_checked);
	json_str(&j, "signed", fmt_time(b->manifest.time, time));
	json_hex(&j, "server_id", b->receipt.server_id, ID_LEN);
	json_bool(&j, "server_expected", server_checked);
	json_str(&j, "stored", fmt_time(b->receipt.time, time));
	json_u64(&j, "log_index", b->receipt.log_index);
	json_hex(&j, "log_root", b->receipt.log_root, b->receipt.suite->hash_len);
	json_end(&j);
}

static void tell_text(const struct pqx_bundle *b, bool server_checked, bool sender_checked)
{
	char server[2 * ID_LEN + 1], sender[2 * ID_LEN + 1], file[65], root[2 * HASH_MAX + 1];
	char sent[32], stored[32], size[16];

	hex_encode(b->receipt.server_id, ID_LEN, server);
	hex_encode(b->header.sender_id, ID_LEN, sender);
	hex_encode(b->header.file_id, sizeof(b->header.file_id), file);
	hex_encode(b->manifest.root, b->manifest.suite->hash_len, root);
	out("This receipt is good. It proves that\n"
	    "  server %s%s\n"
	    "  stated at %s, by its clock, that it had durably stored\n"
	    "  file   %s\n"
	    "  of %llu bytes (%s) in %llu parts, whose encrypted content has the root\n"
	    "  %s\n"
	    "and that\n"
	    "  sender %s%s\n"
	    "  signed that content as its own, at %s by its clock.\n",
	    server, server_checked ? " (the one you named)" : "", fmt_time(b->receipt.time, stored),
	    file, (unsigned long long)b->manifest.plain_size,
	    fmt_size(b->manifest.plain_size, size), (unsigned long long)b->manifest.n, root, sender,
	    sender_checked ? " (the one you named)" : "", fmt_time(b->manifest.time, sent));
	out("It is entry %llu of the server's log of receipts.\n",
	    (unsigned long long)b->receipt.log_index);
	if (!server_checked || !sender_checked)
		out("Whose keys these are it does not say: name whom you expect with --server and "
		    "--sender.\n");
}

static int verify(struct cli *c, struct err *e)
{
	struct buf pem = BUF_INIT(RECEIPT_FILE_MAX);
	struct pqx_bundle *b = malloc(sizeof(*b));
	bool server, sender;
	int rc;

	if (b == NULL) {
		rc = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((rc = file_slurp(AT_FDCWD, c->argv[0], &pem, e)) != 0)
		goto out;
	if ((rc = pqx_receipt_bundle_check(pem.p, pem.len, b, e)) != 0) {
		err_prefix(e, "%s", c->argv[0]);
		goto out;
	}
	if ((rc = check_party(c, "server", b->receipt.server_id, &server, e)) != 0 ||
	    (rc = check_party(c, "sender", b->header.sender_id, &sender, e)) != 0)
		goto out;
	if (opt_flag(c->opts, "json"))
		tell_json(b, server, sender);
	else
		tell_text(b, server, sender);
	rc = out_finish(e);
out:
	free(b);
	buf_free(&pem);
	return rc;
}

/* ---- asking a server ---- */

static bool to_stdout(const struct cli *c)
{
	const char *where = opt_text(c->opts, "out");

	return where != NULL && strcmp(where, "-") == 0;
}

static int keep(const struct cli *c, const struct session_ui *s, const struct buf *pem,
		struct err *e)
{
	struct pqx_bundle *b;
	char path[PATH_MAX];
	struct json j;
	int rc;

	if (to_stdout(c)) {
		out("%.*s", (int)pem->len, (const char *)pem->p);
		return out_finish(e);
	}
	if ((b = malloc(sizeof(*b))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = pqx_receipt_bundle_check(pem->p, pem->len, b, e)) == 0)
		rc = receipt_write(opt_text(c->opts, "out"), s->url->name, b->header.file_id, pem,
				   path, e);
	if (rc == 0 && opt_flag(c->opts, "json")) {
		json_begin(&j, "receipt");
		json_str(&j, "name", s->url->name);
		json_hex(&j, "file_id", b->header.file_id, sizeof(b->header.file_id));
		json_str(&j, "receipt", path);
		json_f64(&j, "queue_seconds", s->info.queue_seconds);
		json_str(&j, "trace_id", s->info.trace_id);
		json_end(&j);
	} else if (rc == 0) {
		out("%s\n", path);
	}
	free(b);
	return rc != 0 ? rc : out_finish(e);
}

static int fetch(struct cli *c, struct err *e)
{
	struct buf pem = BUF_INIT(RECEIPT_FILE_MAX);
	struct session_ui s;
	struct url u;
	int rc;

	if ((rc = url_parse(c->argv[0], &u, e)) != 0 ||
	    (rc = name_check(u.name, strlen(u.name), e)) != 0)
		return rc;
	rc = session_begin(&s, c, &u, true, e);
	s.data_out = to_stdout(c);
	if (rc == 0)
		rc = client_receipt(&s.o, &u, &pem, e);
	meter_end(&s.meter);
	if (rc == 0)
		rc = keep(c, &s, &pem, e);
	session_end(&s);
	buf_free(&pem);
	return session_advise(rc, e);
}

static int run(struct cli *c, struct err *e)
{
	return opt_flag(c->opts, "verify") ? verify(c, e) : fetch(c, e);
}

const struct verb verb_receipt = {
	.name = "receipt",
	.operands = "URL|FILE",
	.summary = "fetch a receipt again, or verify one offline",
	.text = "A receipt is a server's signed statement that it durably stored an object that "
		"its sender had signed. 'pqc send' keeps it; this fetches it again for who sent "
		"the object.\n"
		"\n"
		"With --verify nothing is fetched: both signatures and that they speak of the "
		"same object are checked, and what that proves is printed.",
	.examples = "pqc receipt pqc://files.example.org/backups/backup.tar -o backup.receipt\n"
		    "pqc receipt --verify backup.receipt --server server.pub --sender alice.pub\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
