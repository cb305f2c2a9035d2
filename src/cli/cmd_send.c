#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/receipt_file.h"
#include "cli/verbs.h"
#include "client/defaults.h"
#include "container/header.h"

static const struct opt options[] = {
	{.name = "receipt",
	 .kind = OPT_FILE,
	 .arg = "FILE|DIR",
	 .help = "Where the receipt goes; without it $PQC_HOME/state/receipts/"},
	{.name = "part-size",
	 .kind = OPT_SIZE,
	 .arg = "SIZE",
	 .def = DEFAULT_SEND_PART,
	 .min = 1,
	 .max = PQX_PART_MAX,
	 .old_env = "STREAM_CHUNK_SIZE",
	 .help = "Files are sealed and sent in parts of this size, a power of two from 64K to 32M"},
	{0},
};
static const struct opt *const tables[] = {options,	     transfer_options, client_options,
					   identity_options, common_options,   NULL};

struct send {
	struct cli *c;
	struct session_ui ui;
	struct url url; /* its name: that of the object being sent */
	size_t prefix;	/* bytes of url.name that the command line gave, with a '/' behind */
	bool into;	/* base names are appended to it */
	uint32_t part_size;
};

/* ---- one file ---- */

static void tell_json(const struct send *s, const struct transfer_result *r, const char *receipt)
{
	struct json j;

	json_begin(&j, "sent");
	json_str(&j, "name", s->url.name);
	json_u64(&j, "size", r->size);
	json_hex(&j, "file_id", r->file_id, sizeof(r->file_id));
	json_hex(&j, "server_id", r->server_id, ID_LEN);
	json_hex(&j, "sender_id", r->sender_id, ID_LEN);
	json_u64(&j, "parts", r->parts);
	json_u64(&j, "parts_sent", r->parts_moved);
	json_u64(&j, "resumed_bytes", r->resumed_bytes);
	json_u64(&j, "reconnects", r->reconnects);
	json_f64(&j, "seconds", r->seconds);
	json_f64(&j, "queue_seconds", s->ui.info.queue_seconds);
	json_str(&j, "trace_id", s->ui.info.trace_id);
	json_f64(&j, "seconds_received", r->seconds_received);
	json_f64(&j, "mb_per_s", session_rate(&s->ui, r) / 1e6);
	json_str(&j, "receipt", receipt);
	json_end(&j);
}

static void tell(const struct send *s, const struct transfer_result *r, const char *receipt)
{
	char size[16], speed[24], time[16], resumed[16];
	double queued = s->ui.info.queue_seconds;

	if (s->ui.json) {
		tell_json(s, r, receipt);
		return;
	}
	if (s->ui.quiet)
		return;
	out("%s: %s in %s, %s", s->url.name, fmt_size(r->size, size),
	    fmt_duration(r->seconds - queued, time), fmt_rate(session_rate(&s->ui, r), speed));
	if (queued > 0)
		out(", after %s in the queue", fmt_duration(queued, time));
	if (r->resumed_bytes > 0)
		out(", %s were there already", fmt_size(r->resumed_bytes, resumed));
	if (r->reconnects > 0)
		out(", %u reconnection%s", r->reconnects, r->reconnects == 1 ? "" : "s");
	/* What was under way when a connection broke, and had not been acknowledged. */
	if (r->resumed_bytes == 0 && r->parts_moved > r->parts)
		out(", %llu of %llu parts sent again that were not durable yet",
		    (unsigned long long)(r->parts_moved - r->parts), (unsigned long long)r->parts);
	out("\n  receipt: %s\n", receipt);
}

/* path NULL: standard input. The object's name is in s->url. */
static int send_one(struct send *s, const char *path, struct err *e)
{
	const struct pqc_source from = {
		.kind = path != NULL ? PQC_IO_PATH : PQC_IO_FD, .path = path, .fd = STDIN_FILENO};
	struct put_opts p = {.from = &from, .part_size = s->part_size};
	struct transfer_result r = {0};
	char receipt[PATH_MAX];
	int rc;

	if ((rc = name_check(s->url.name, strlen(s->url.name), e)) != 0)
		return rc;
	meter_begin(&s->ui.meter, path != NULL ? path : "standard input", s->ui.quiet);
	rc = client_put(&s->ui.o, &s->url, &p, &r, e);
	meter_end(&s->ui.meter);
	if (rc == 0)
		rc = receipt_write(opt_text(s->c->opts, "receipt"), s->url.name, r.file_id,
				   &r.receipt, receipt, e);
	if (rc == 0)
		tell(s, &r, receipt);
	transfer_result_free(&r);
	return rc;
}

/* ---- names and directories ---- */

/* The object's name becomes what it was up to n bytes, and leaf. */
static int name_append(struct send *s, size_t n, const char *leaf, struct err *e)
{
	if (n + strlen(leaf) > URL_NAME_MAX)
		return err_set(e, PQC_ENAME, "%s: the name would be longer than %d bytes", leaf,
			       URL_NAME_MAX);
	strcpy(s->url.name + n, leaf);
	return 0;
}

static int not_dot(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int send_directory(struct send *s, const char *dir, struct err *e);

/* n: bytes of the object's name that dir has. */
static int send_entry(struct send *s, size_t n, const char *dir, const char *leaf, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	int rc;

	if ((rc = path_join(dir, leaf, path, e)) != 0 || (rc = name_append(s, n, "/", e)) != 0 ||
	    (rc = name_append(s, n + 1, leaf, e)) != 0)
		return rc;
	if (lstat(path, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return send_directory(s, path, e);
	if (S_ISREG(st.st_mode))
		return send_one(s, path, e);
	meter_note(&s->ui.meter, "%s: left out: neither a file nor a directory", path);
	return 0;
}

/* Everything below dir, whose name is in s->url, in alphabetical order. */
static int send_directory(struct send *s, const char *dir, struct err *e)
{
	struct dirent **entry;
	size_t n = strlen(s->url.name);
	int rc = 0, count = scandir(dir, &entry, not_dot, alphasort);

	if (count < 0)
		return err_sys(e, errno, "%s", dir);
	for (int i = 0; i < count; i++) {
		if (rc == 0) {
			rc = send_entry(s, n, dir, entry[i]->d_name, e);
			rc = session_carry_on(&s->ui, entry[i]->d_name, rc, e);
		}
		free(entry[i]);
	}
	free(entry);
	return rc;
}

/* ---- the command ---- */

/* What the last component of path is called, whatever way "." or "dir/" names it. */
static int base_name(const char *path, char out[NAME_MAX + 1], struct err *e)
{
	char *real = realpath(path, NULL);
	const char *base = real != NULL ? path_base(real) : NULL;
	int rc = 0;

	if (real == NULL)
		rc = err_sys(e, errno, "%s", path);
	else if (base == NULL)
		rc = err_set(e, PQC_ENAME, "%s has no name that an object could have", path);
	else
		snprintf(out, NAME_MAX + 1, "%s", path_base(path) != NULL ? path_base(path) : base);
	free(real);
	return rc;
}

static int send_source(struct send *s, const char *path, struct err *e)
{
	char base[NAME_MAX + 1];
	bool in = strcmp(path, "-") == 0;
	struct stat st = {0};
	int rc;

	s->url.name[s->prefix] = '\0';
	if (in && s->into)
		return err_set(e, PQC_EUSAGE,
			       "what comes from standard input needs a name: put it "
			       "at the end of the URL");
	if (in)
		return send_one(s, NULL, e);
	if (stat(path, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (s->into || S_ISDIR(st.st_mode)) {
		if ((rc = base_name(path, base, e)) != 0)
			return rc;
		if (s->prefix > 0 && s->url.name[s->prefix - 1] != '/')
			strcat(s->url.name, "/");
		if ((rc = name_append(s, strlen(s->url.name), base, e)) != 0)
			return rc;
	}
	return S_ISDIR(st.st_mode) ? send_directory(s, path, e) : send_one(s, path, e);
}

static int send_all(struct send *s, struct err *e)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < s->c->argc - 1; i++) {
		rc = send_source(s, s->c->argv[i], e);
		if (s->c->argc > 2)
			rc = session_carry_on(&s->ui, s->c->argv[i], rc, e);
	}
	if (rc == 0)
		rc = session_verdict(&s->ui, e);
	return session_advise(rc, e);
}

static int run(struct cli *c, struct err *e)
{
	struct send *s = calloc(1, sizeof(*s));
	const char *name;
	int rc;

	if (s == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	s->c = c;
	if ((rc = url_parse(c->argv[c->argc - 1], &s->url, e)) != 0 ||
	    (rc = part_size_option(c, &s->part_size, e)) != 0)
		goto out;
	name = s->url.name;
	s->prefix = strlen(name);
	s->into = s->prefix == 0 || name[s->prefix - 1] == '/' || c->argc > 2;
	if ((rc = session_begin(&s->ui, c, &s->url, true, e)) == 0) {
		s->ui.o.threads = threads_option(c, default_send_threads());
		rc = send_all(s, e);
	}
	session_end(&s->ui);
	if (rc == 0)
		rc = out_finish(e);
out:
	free(s);
	return rc;
}

const struct verb verb_send = {
	.name = "send",
	.operands = "FILE... URL",
	.summary = "send files to a server",
	.text = "Each file is sealed with a key of its own, signed by your identity, sent in parts "
		"and stored durably before the server's signed receipt comes back. '-' is "
		"standard input. A directory is sent with everything below it; links in it are "
		"left out.\n"
		"\n"
		"The URL is pqc://HOST[:PORT]/NAME, port 8765, or pqcs:// for TLS; ws:// and "
		"wss:// work too. When NAME is empty or ends with '/', or there are several "
		"sources, a source's own name is added to it.\n"
		"\n"
		"A broken connection is made again by itself. After an interruption run the same "
		"command again: what the server has is not sent twice. A server that is busy lets "
		"each file wait, and tells its place.",
	.examples = "pqc send backup.tar pqc://files.example.org/backups/\n"
		    "tar c photos | pqc send - pqc://files.example.org/photos.tar\n",
	.options = tables,
	.min = 2,
	.max = -1,
	.run = run,
};
